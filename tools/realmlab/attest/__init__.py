"""CCA attestation tokens from the verifier's side: parse, show, verify. Shares no code with the signing side."""

from realmlab.attest.look import Look, look
from realmlab.attest.policy import Policy, PolicyError, load_policy
from realmlab.attest.source import extract
from realmlab.attest.token import CcaToken, Claims, Layout, TokenError, claims, parse
from realmlab.attest.verify import Outcome, Report, development_keys, load_key, verify

__all__ = [
    "CcaToken",
    "Claims",
    "Layout",
    "Look",
    "Outcome",
    "Policy",
    "PolicyError",
    "Report",
    "TokenError",
    "claims",
    "development_keys",
    "extract",
    "load_key",
    "load_policy",
    "look",
    "parse",
    "verify",
]
