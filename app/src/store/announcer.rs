//! What a screen reader is told: changes of state, politely. A connection that flaps is told once in a while, and not at
//! all when it is back where it was before anybody spoke of it.

use crate::model::{
    connection::{ConnectionId, ConnectionState},
    status::ConnectionLive,
    time::UnixMillis,
};

/// The shortest time between two announcements.
pub const QUIET_MS: i64 = 5_000;

/// Who was said to be how, and when.
#[derive(Clone, Debug, Default)]
pub struct Announcer {
    said: Vec<(ConnectionId, ConnectionState)>,
    spoke_at: Option<UnixMillis>,
}

impl Announcer {
    /// What there is to say of these connections at `local`, if it is time to. The first time nothing is: whoever opens
    /// the page reads it.
    pub fn listen<'a>(
        &mut self,
        connections: impl Iterator<Item = &'a ConnectionLive>,
        local: UnixMillis,
    ) -> Option<String> {
        if self.spoke_at.is_some_and(|at| local.millis_since(at) < QUIET_MS) {
            return None;
        }
        let mut text = String::new();
        for live in connections {
            match self.said.iter_mut().find(|(id, _)| *id == live.id) {
                Some((_, said)) if *said == live.state => {}
                Some((_, said)) => {
                    *said = live.state;
                    say(&mut text, live);
                }
                None => self.said.push((live.id, live.state)),
            }
        }
        if text.is_empty() {
            return None;
        }
        self.spoke_at = Some(local);
        Some(text)
    }
}

fn say(text: &mut String, live: &ConnectionLive) {
    for part in ["Connection ", &live.id.to_string(), ", ", &live.name, ": ", live.state.label()] {
        text.push_str(part);
    }
    if let Some(reason) = live.reason_of_state() {
        text.push_str(", ");
        text.push_str(reason);
    }
    text.push_str(". ");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_once_and_a_flapping_connection_seldom() {
        let mut announcer = Announcer::default();
        let mut live = ConnectionLive { id: 2, name: "secondary".into(), ..ConnectionLive::default() };
        let mut at = |state, seconds: i64| {
            live.state = state;
            announcer.listen([&live].into_iter(), UnixMillis(seconds * 1000))
        };
        use ConnectionState::{Connected, Failed, Reconnecting};
        assert_eq!(at(Connected, 0), None, "nothing changed yet");
        assert_eq!(at(Failed, 1).as_deref(), Some("Connection 2, secondary: failed. "));
        assert_eq!(at(Reconnecting, 2), None, "too soon");
        assert_eq!(at(Failed, 3), None);
        assert_eq!(at(Failed, 60), None, "where it was when it was spoken of");
        assert_eq!(at(Connected, 61).as_deref(), Some("Connection 2, secondary: connected. "));
    }
}
