"""PostgreSQL with a synchronous standby: the primary dies, the standby is promoted, and the old primary comes back."""

import chaos_servers
from chaos_world import at_ports, harness
from harness_services import Standby
from harness_wait import wait_until

SYNCHRONOUS = "synchronous_standby_names"


class Pair:
    """A primary, and its standby once there is one. Ports stay, roles change."""

    def __init__(self, world, primary):
        self._world = world
        self.primary, self.standby = primary, None
        self._copies = []
        self._add_standby(harness.free_port())

    def ports(self):
        return [server.port for server in (self.primary, self.standby)]

    def _url(self):
        return self._world.stack.direct["CHECKOUT_DATABASE_URL"]

    def _add_standby(self, port):
        self.standby = Standby(self._url(), port)
        self._copies.append(self.standby)
        self._world.usual[SYNCHRONOUS] = "*"
        chaos_servers.alter_database(self._world, SYNCHRONOUS, "*")
        self._wait_in_step()

    def _wait_in_step(self):
        """Until every commit that anybody hears of is at the standby."""
        wait_until(lambda: harness.query_once(self._url(), "select 1 from pg_stat_replication where sync_state = 'sync'"),
                   60, "the standby to be synchronous")

    def fail_over(self):
        """Returns the old primary, which would take writes if it were started."""
        self._wait_in_step()
        harness.query_once(self._url(), f"alter system reset {SYNCHRONOUS}", connect_timeout=5,
                           options="-csynchronous_commit=local")     # heard at its next start
        del self._world.usual[SYNCHRONOUS]
        old, self.primary, self.standby = self.primary, self.standby, None
        old.crash()
        self.primary.promote()
        self._world.move_database(self.primary.port)
        return old

    def renew(self, old):
        """The old primary is one no longer: a copy of the new one takes its port."""
        old.crash()
        if old in self._copies:
            self._copies.remove(old)
            old.remove()
        self._add_standby(old.port)

    def close(self):
        for copy in self._copies:
            copy.remove()


def old_primary_returns(storm, away_s, back_s, meanwhile=None):
    """Whoever takes it for the database decides, and charges, what nobody else knows. `meanwhile`: what is done
    while both run, before the pause."""
    pair = storm.world.pair

    def work():
        old = pair.fail_over()
        try:
            storm.pause(away_s)
            old.start()
            if meanwhile is not None:
                meanwhile()
            storm.pause(back_s)
        finally:
            pair.renew(old)
    return storm.with_server("database", work)


DRAWS = {}
RARE = {"an old primary comes back": (0.35, lambda rng: (old_primary_returns, (rng.choice((0, 3, 8)),
                                                                            rng.choice((5, 15, 30)))))}
