"""Who buys what: the whole sale decided from one seed before the sale opens."""

import json
import random
import secrets
import time

import jwt

GOOD_CARDS = ("pm_card_visa", "pm_card_mastercard")
BAD_CARD = "pm_card_chargeDeclined"
ITEMS = ("vip-pass", "dress-1920s")
DRESS_SHARE = 0.2


class Wish:
    """One order that somebody wants to place: one Idempotency-Key, however often it is clicked.

    `ids` are those that 202s named for its key: more than one is a broken promise.
    """

    __slots__ = ("number", "user", "sku", "key", "method", "clicks", "body", "first_sent",
                 "first_answer", "ids", "given_up", "final_at")

    def __init__(self, number, user, sku, key, method, clicks):
        self.number, self.user, self.sku, self.key = number, user, sku, key
        self.method, self.clicks = method, clicks
        self.body = json.dumps({"sku": sku, "quantity": 1, "payment_method": method},
                               separators=(",", ":")).encode()
        self.first_sent = self.first_answer = self.final_at = None
        self.ids = set()
        self.given_up = False

    @property
    def pays(self):
        return self.method != BAD_CARD


class Plan:
    """`wishes` in no particular order, `clicks` in the order they are made, `listeners` by user."""

    def __init__(self, orders, buyers, listeners, declines, double_clicks, seed):
        dice = random.Random(seed)
        self.run = secrets.token_hex(4)  # apart from every sale before it, also with the same seed
        self.users = [f"sale-{self.run}-{number:05d}" for number in range(buyers)]
        self.wishes = [self._wish(dice, number, declines, double_clicks) for number in range(orders)]
        self.clicks = self._order_of_clicks(dice)
        self.listeners = self.users[:min(listeners, buyers)]
        dice.shuffle(self.listeners)

    def _wish(self, dice, number, declines, double_clicks):
        # Every buyer orders once before anybody orders again.
        user = self.users[number if number < len(self.users) else dice.randrange(len(self.users))]
        sku = ITEMS[1] if dice.random() < DRESS_SHARE else ITEMS[0]
        method = BAD_CARD if dice.random() < declines else dice.choice(GOOD_CARDS)
        clicks = 2 if dice.random() < double_clicks else 1
        return Wish(number, user, sku, f"{self.run}-{number:06d}", method, clicks)

    def _order_of_clicks(self, dice):
        """Shuffled; the second of a double click comes a moment after the first."""
        timed = []
        for wish in self.wishes:
            moment = dice.random() * len(self.wishes)
            timed.append((moment, wish.number, wish))
            if wish.clicks == 2:
                timed.append((moment + dice.random() * 8, wish.number, wish))
        return [wish for _, _, wish in sorted(timed, key=lambda click: click[:2])]


class Tokens:
    """Signs buyers' tokens, as the shop's backend would."""

    def __init__(self, secret_file, lifetime_s=3600):
        with open(secret_file, "rb") as source:
            self._secret = source.read().removesuffix(b"\n")
        now = int(time.time())
        self._claims = {"aud": "checkout", "iat": now, "exp": now + lifetime_s}
        self._signed = {}

    def of(self, user):
        if user not in self._signed:
            self._signed[user] = jwt.encode({**self._claims, "sub": user}, self._secret, "HS256")
        return self._signed[user]
