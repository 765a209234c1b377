from fastapi import FastAPI

from . import api, sockets

app = FastAPI(title="Example")
app.include_router(api.router)
app.include_router(sockets.router)
