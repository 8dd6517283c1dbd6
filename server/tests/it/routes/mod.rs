mod access;
mod admin_ws;
mod history;
mod machines;
mod websocket_status;
