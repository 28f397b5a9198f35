"""An existing FastAPI application of ten routes and a socket, as a user might bring it along."""

from __future__ import annotations

# Put into a project as `shop/`; `handlers/` is written by the test, which decides where it is mounted.
FILES = {
    "nitro.toml": """
        [experimental]
        websocket = true
        """,
    "shop/__init__.py": "",
    "shop/admin.py": """
        from typing import Annotated

        from fastapi import APIRouter, Depends, Header, HTTPException

        async def check_token(x_token: Annotated[str, Header()]) -> str:
            if x_token != "let-me-in":
                raise HTTPException(401, "wrong token", headers={"www-authenticate": "Token"})
            return x_token

        router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(check_token)])

        @router.get("/stats")
        def read_stats(verbose: bool = False) -> dict[str, object]:
            return {"items": 3, "verbose": verbose}
        """,
    "shop/main.py": """
        import asyncio
        from collections.abc import AsyncIterator
        from contextlib import asynccontextmanager
        from typing import Annotated

        from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, HTTPException, Path, Query, Request
        from fastapi import Response, WebSocket, WebSocketDisconnect
        from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
        from pydantic import BaseModel, Field

        from shop.admin import router

        jobs: list[str] = []

        class Item(BaseModel):
            name: str = Field(min_length=2)
            price: float = Field(gt=0)
            tags: list[str] = []

        class OutOfStock(Exception):
            def __init__(self, item: int) -> None:
                self.item = item

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
            yield {"currency": "EUR", "rates": {"USD": 1.08}}

        app = FastAPI(title="Shop", lifespan=lifespan)
        app.include_router(router)

        @app.middleware("http")
        async def name_shop(request: Request, call_next):
            response = await call_next(request)
            response.headers["x-shop"] = request.method
            return response

        @app.exception_handler(OutOfStock)
        async def answer_out_of_stock(request: Request, error: OutOfStock) -> JSONResponse:
            return JSONResponse({"gone": error.item}, 410, headers={"x-reason": "stock"})

        async def paginate(page: Annotated[int, Query(ge=1)] = 1, size: int = 2) -> slice:
            return slice((page - 1) * size, page * size)

        @app.get("/")
        async def read_root() -> dict[str, str]:
            return {"shop": "open"}

        @app.get("/items/{item_id}")
        async def read_item(item_id: Annotated[int, Path(ge=0)], q: str | None = None) -> dict[str, object]:
            if item_id == 404:
                raise HTTPException(404, {"item": item_id})
            if item_id == 410:
                raise OutOfStock(item_id)
            return {"item_id": item_id, "q": q}

        @app.get("/items")
        async def list_items(page: Annotated[slice, Depends(paginate)]) -> list[str]:
            return ["apple", "bread", "café", "dates", "eggs"][page]

        @app.post("/items", status_code=201)
        async def add_item(item: Item, response: Response) -> Item:
            response.headers["x-item"] = item.name
            return item

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            async def chunks() -> AsyncIterator[str]:
                for number in range(5):
                    yield f"line {number}\\n"
                    await asyncio.sleep(0.01)
            return StreamingResponse(chunks(), media_type="text/plain", headers={"x-lines": "5"})

        @app.post("/jobs/{name}", status_code=202)
        async def start_job(name: str, background: BackgroundTasks) -> dict[str, str]:
            background.add_task(jobs.append, name)
            return {"job": name}

        @app.get("/jobs")
        def list_jobs() -> list[str]:
            return jobs

        @app.get("/old/{item_id}")
        async def redirect(request: Request, item_id: int) -> RedirectResponse:
            return RedirectResponse(request.url_for("read_item", item_id=item_id), 308)

        @app.put("/session")
        async def sign_in(response: Response, visits: Annotated[int, Cookie()] = 0) -> dict[str, int]:
            response.set_cookie("visits", str(visits + 1), httponly=True, samesite="strict")
            response.set_cookie("theme", "dark", max_age=60)
            return {"visits": visits}

        @app.get("/rates")
        async def read_rates(request: Request) -> dict[str, object]:
            return {"currency": request.state.currency, "rates": request.state.rates}

        @app.websocket("/rooms/{room}")
        async def join_room(socket: WebSocket, room: str, name: str = "nobody") -> None:
            if room == "closed":
                await socket.close()
                return
            await socket.accept(subprotocol="chat.v1", headers=[(b"x-room", room.encode())])
            await socket.send_json({"room": room, "name": name, "currency": socket.state.currency})
            try:
                while (text := await socket.receive_text()) != "bye":
                    await socket.send_text(f"{name}: {text}")
                await socket.close(4001, "bye too")
            except WebSocketDisconnect:
                pass
        """,
}

MOUNT = """
    from nitro_py import mount_asgi
    from shop.main import app

    handler = mount_asgi(app)
    """
