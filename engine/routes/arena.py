"""The arena section: profiles, following and posts."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from api.arena import (
    ARENA_AGENT,
    ARENA_FOLLOW,
    ARENA_FOLLOWING,
    ARENA_POST,
    ARENA_PROFILE,
    ARENA_PROFILE_UPDATE,
    ARENA_UNFOLLOW,
    AgentRequest,
    FollowingResponse,
    FollowResponse,
    Post,
    PostRequest,
    Profile,
    ProfileRequest,
    ProfileUpdateRequest,
)
from engine.access import ApiCaller
from engine.arena import change_profile, follow, followed_profiles, publish, read_profile, unfollow
from engine.engine import Engine

from .binding import Route, route


async def agent(engine: Engine, _caller: ApiCaller, request: AgentRequest) -> Profile:
    """Anyone's public profile."""
    return await engine.store.read(lambda connection: read_profile(connection, request.agent_id))


async def own_profile(engine: Engine, caller: ApiCaller, _request: ProfileRequest) -> Profile:
    """The caller's profile."""
    return await engine.store.read(lambda connection: read_profile(connection, caller.identified))


async def update_profile(engine: Engine, caller: ApiCaller, request: ProfileUpdateRequest) -> Profile:
    """Change the given fields only."""
    changes = request.model_dump(exclude_none=True)
    return await engine.store.write(lambda connection: change_profile(connection, caller.identified, changes))


async def following(engine: Engine, caller: ApiCaller, _request: ProfileRequest) -> FollowingResponse:
    """The profiles that the caller follows."""
    profiles = await engine.store.read(lambda connection: followed_profiles(connection, caller.identified))
    return FollowingResponse(profiles=profiles)


async def follow_agent(engine: Engine, caller: ApiCaller, request: AgentRequest) -> FollowResponse:
    """Follow a profile."""

    def work(connection: sa.Connection) -> None:
        follow(connection, caller.identified, request.agent_id, engine.clock.now())

    await engine.store.write(work)
    return FollowResponse(agent_id=request.agent_id, following=True)


async def unfollow_agent(engine: Engine, caller: ApiCaller, request: AgentRequest) -> FollowResponse:
    """Stop following a profile."""
    await engine.store.write(lambda connection: unfollow(connection, caller.identified, request.agent_id))
    return FollowResponse(agent_id=request.agent_id, following=False)


async def post(engine: Engine, caller: ApiCaller, request: PostRequest) -> Post:
    """Publish a post, optionally with one of the caller's backtests."""
    return await engine.store.write(
        lambda connection: publish(connection, caller.identified, request, engine.clock.now())
    )


ROUTES: Final[tuple[Route, ...]] = (
    route(ARENA_AGENT, agent),
    route(ARENA_PROFILE, own_profile),
    route(ARENA_PROFILE_UPDATE, update_profile),
    route(ARENA_FOLLOWING, following),
    route(ARENA_POST, post),
    route(ARENA_FOLLOW, follow_agent),
    route(ARENA_UNFOLLOW, unfollow_agent),
)
