"""A login as a shop has it: oidc-provider on loopback, and a buyer's browser that signs in there."""

import base64
import hashlib
import http.cookiejar
import json
import os
import re
import secrets
import subprocess
import urllib.parse
import urllib.request

import harness_npm

SOURCE = os.path.join(harness_npm.ROOT, "tests", "integration", "oidc")
BACK = "http://127.0.0.1:9/back"    # the shop's page; nobody listens there, the browser stops before it


class _StopAtTheShop(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None if newurl.startswith(BACK) else super().redirect_request(req, fp, code, msg, headers, newurl)


class _Browser:
    def __init__(self):
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(_StopAtTheShop, urllib.request.HTTPCookieProcessor(jar))
        self.back = None        # what the shop's page is given

    def send(self, url, **form):
        """The page that comes in the end; "" once it is the shop's."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            with self._opener.open(url, data, timeout=30) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            location = error.headers.get("Location") or ""
            if not location.startswith(BACK):
                raise AssertionError(f"{url}: {error.code} {error.read().decode()[:500]}") from None
            self.back = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
            return ""


def _form(page):
    """(where it goes, its prompt)"""
    return (re.search(r'action="([^"]+)"', page)[1], re.search(r'name="prompt" value="(\w+)"', page)[1])


class Provider:
    """`close` ends it. `human`: the claim of all its tokens."""

    def __init__(self, human=""):
        folder = harness_npm.install_project(SOURCE)
        self._process = subprocess.Popen(["node", os.path.join(folder, "provider.mjs"), BACK, human],
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.issuer = self._process.stdout.readline().strip()

    def close(self):
        self._process.terminate()
        self._process.wait(10)
        self._process.stdout.close()

    def keys_url(self):
        with urllib.request.urlopen(self.issuer + "/.well-known/openid-configuration", timeout=30) as answer:
            return json.load(answer)["jwks_uri"]

    def token(self, user, algorithm):
        """An access token for Checkout: the buyer signs in, the shop's page gets a code, and a token for it (PKCE)."""
        resource, verifier, browser = f"urn:checkout:{algorithm.lower()}", secrets.token_urlsafe(48), _Browser()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        page = browser.send(self.issuer + "/auth?" + urllib.parse.urlencode({
            "client_id": "shop", "response_type": "code", "redirect_uri": BACK, "scope": "openid buy", "resource": resource,
            "code_challenge": challenge, "code_challenge_method": "S256"}))
        while browser.back is None:
            action, prompt = _form(page)
            page = browser.send(urllib.parse.urljoin(self.issuer, action), prompt=prompt, login=user, password="any")
        form = {"grant_type": "authorization_code", "client_id": "shop", "redirect_uri": BACK, "resource": resource,
                "code": browser.back["code"][0], "code_verifier": verifier}
        with urllib.request.urlopen(self.issuer + "/token", urllib.parse.urlencode(form).encode(), timeout=30) as answer:
            return json.load(answer)["access_token"]
