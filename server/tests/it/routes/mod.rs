mod access;
mod admin_ws;
mod history;
mod machines;
mod recording;
mod symbol;
mod websocket_status;
