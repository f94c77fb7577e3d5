"""A Postfix of the tests' own: another's mail server, with STARTTLS, whose mailbox takes what comes to its domains."""

import mailbox
import os
import pwd
import re
import shutil
import subprocess
import tempfile

from harness_mail import Mail
from harness_services import free_port
from harness_wait import wait_until

PROGRAM = "/usr/sbin/postfix"
USABLE = os.path.exists(PROGRAM) and os.geteuid() == 0

SERVICES = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

SETTINGS = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
myhostname = mail.postfix.example
mydestination =
local_recipient_maps =
alias_maps =
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = static:all
virtual_mailbox_base = {folder}/boxes
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_delay_reject = no
smtpd_error_sleep_time = 0
smtpd_client_event_limit_exceptions =
smtpd_client_connection_count_limit = {places}
smtpd_helo_required = yes
smtpd_sender_restrictions = check_sender_access inline:{{ {{ stranger@example.org = 550 5.7.60 not allowed to send as this }} }}
smtpd_recipient_restrictions = reject_non_fqdn_helo_hostname, reject_unauth_destination, check_recipient_access
    inline:{{ {{ rejected@example.org = 550 5.1.1 no such mailbox }}, {{ greylisted@example.org = 450 4.2.0 greylisted }},
    {{ closing@example.org = 421 4.3.2 shutting down }} }}
"""


class Postfix:
    """It listens at `port`, for `domains`. Ends with close()."""

    def __init__(self, certificate, domains, places=50):
        self.port = free_port()
        self._folder = tempfile.mkdtemp(prefix="checkout-postfix.", dir="/var/tmp")
        os.chmod(self._folder, 0o755)
        for name, user in (("queue", "root"), ("data", "postfix"), ("boxes", "nobody"), ("etc", "root")):
            os.mkdir(os.path.join(self._folder, name), 0o755)
            shutil.chown(os.path.join(self._folder, name), user)
        self._write("main.cf", SETTINGS.format(folder=self._folder, domains=", ".join(domains), places=places,
                                               certificate=certificate[0], key=certificate[1],
                                               nobody=pwd.getpwnam("nobody").pw_uid))
        self._write("master.cf", SERVICES.format(port=self.port))
        self._do("start")

    def _write(self, name, text):
        with open(os.path.join(self._folder, "etc", name), "w", encoding="ascii") as sink:
            sink.write(text)

    def _do(self, command):
        done = subprocess.run([PROGRAM, "-c", os.path.join(self._folder, "etc"), command], text=True, timeout=60, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise AssertionError(f"postfix {command}: {done.stdout}{self.log()}")

    def log(self):
        try:
            with open(os.path.join(self._folder, "log"), encoding="utf-8") as source:
                return source.read()
        except FileNotFoundError:
            return ""

    def mails(self):
        """Those that were delivered, as bytes, by the address that they came to."""
        path = os.path.join(self._folder, "boxes", "all")
        box = mailbox.mbox(path, create=False) if os.path.exists(path) else None
        raws = [box.get_bytes(key) for key in box.keys()] if box is not None else []
        return {re.search(rb"^Delivered-To: (.*)$", raw, re.M).group(1).decode(): raw for raw in raws}

    def wait(self, recipient, timeout=30):
        """The mail to this address, once it was delivered."""
        wait_until(lambda: recipient in self.mails(), timeout,
                   lambda: f"a mail to {recipient}; there were {list(self.mails())}; {self.log()[-2000:]}")
        return Mail.parse(self.mails()[recipient])

    def close(self):
        self._do("stop")
        shutil.rmtree(self._folder)
