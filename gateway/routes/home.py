"""The page at `/`: where to find what, and the evaluations with their reports."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE = Path(__file__).with_name("home.html").read_text(encoding="utf-8")


@router.get("/")
async def home() -> HTMLResponse:
    """The page; it asks this API for what it shows."""
    return HTMLResponse(_PAGE)
