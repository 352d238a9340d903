"""Texts that become public under the user's name (R32): account data in them is denied, the rest asks a human."""

from __future__ import annotations

from typing import Literal

from api.arena import PostRequest, ProfileUpdateRequest
from safety.face import GatedPost, GatedProfile
from safety.gate.footing import Footing
from safety.gate.orders import admit, carry_out
from safety.gate.wording import stand, stopped
from safety.terms.intent import Caller, Intent
from safety.terms.proposal import Publication, canonical_json


async def publish_post(footing: Footing, request: PostRequest, caller: Caller) -> GatedPost:
    """Publish a post, or say that a human has to approve it first.

    Raises:
        HeyTradersError: It surely was not published; says why and what to do.
    """
    intent = await _publish(footing, "post", request, caller)
    return GatedPost.model_validate({**(intent.result or {}), **stand(intent)})


async def publish_profile(footing: Footing, request: ProfileUpdateRequest, caller: Caller) -> GatedProfile:
    """Change the public profile, or say that a human has to approve it first.

    Raises:
        HeyTradersError: It surely was not changed; says why and what to do.
    """
    intent = await _publish(footing, "profile", request, caller)
    return GatedProfile.model_validate({**(intent.result or {}), **stand(intent)})


async def _publish(
    footing: Footing, action: Literal["post", "profile"], request: PostRequest | ProfileUpdateRequest, caller: Caller
) -> Intent:
    body = canonical_json(request.model_dump(mode="json", exclude_none=True))
    admitted = await admit(footing, Publication(action=action, body=body), caller)
    intent = await carry_out(footing, admitted.intent, admitted.looked)
    error = stopped(intent)
    if error is not None:
        raise error
    return intent
