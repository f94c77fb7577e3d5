"""What the sandbox gateway can play (deploy/sandbox/fault.h), for the tests that draw from all of it."""

# Of one payment. test_sandbox.py compares them with what the sandbox knows.
FAULTS = ("slow", "never", "charge-then-never", "reset", "charge-then-reset", "500", "500-consumed",
          "500-after-charge", "400", "400-kept", "429", "409", "garbage", "wrong-amount", "partial")
# These refuse a payment for good although its card pays: its order fails at once.
REFUSALS = ("400", "400-kept")
REFUSED = "invalid_request_error"   # what is recorded of it: a refusal without a code

# Templates: each use makes a new payment method, so they are never used up.
PAYS, PAYS_LATER = "pm_card_visa", "pm_sandbox_processing"
DECLINES = ("pm_card_chargeDeclined", "pm_sandbox_provider_decline", "pm_sandbox_processing_failed")


def used_once(gateway):
    """A payment method that pays, and is used up by its first payment, whatever becomes of that."""
    answer = gateway.call("POST", "/v1/payment_methods", {"type": "card", "card[token]": "tok_visa"})
    if answer.status != 200:
        raise AssertionError(f"the sandbox makes no payment method: {answer}")
    return answer.json["id"]
