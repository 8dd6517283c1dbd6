mod access;
mod admin_ws;
mod machines;
mod websocket_status;
