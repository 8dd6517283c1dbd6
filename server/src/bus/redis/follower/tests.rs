use super::*;
use crate::bus::{
    frames::{BoardCopy, Encoded, FrameWriter},
    mailbox::{Delivery, Inbox, mailbox, tests::tick},
};

const AT: UnixMillis = UnixMillis(1_768_998_896_789);

/// A dashboard, and what it was told.
struct Dashboard {
    follower: Follower,
    outbox: Outbox,
    inbox: Inbox,
    start: Instant,
    now: Instant,
}

impl Dashboard {
    fn new() -> Self {
        let ((outbox, inbox), start) = (mailbox(), Instant::now());
        Self { follower: Follower::default(), outbox, inbox, start, now: start }
    }

    fn take(&mut self, messages: &[Encoded]) {
        for message in messages {
            self.follower.take(&message.bytes, (self.now, AT), &self.outbox).expect("a good one");
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Whether a board came, and the prices after it.
    fn told(&mut self) -> (bool, Vec<f64>) {
        let mut delivery = Delivery::default();
        self.inbox.take_now(&mut delivery);
        (delivery.board.is_some(), delivery.ticks.iter().map(|tick| tick.price).collect())
    }

    fn state(&self) -> (bool, bool) {
        (self.follower.is_following(self.now), self.follower.wants_board(self.now))
    }
}

fn writer(epoch: u64, run: u64) -> FrameWriter {
    FrameWriter::new(Stream { epoch, run })
}

fn frame(writer: &mut FrameWriter, prices: &[f64]) -> Vec<Encoded> {
    for price in prices {
        writer.record(1, 0, &tick("A", *price), 1, AT);
    }
    writer.drain(AT).collect()
}

fn board(writer: &FrameWriter) -> Vec<Encoded> {
    // Two parts.
    let rates = (1..=16).map(|id| (id, vec![1.0; 300])).collect::<Vec<_>>();
    let removed = vec![app::model::protocol::Row::empty(1, tick("A", 1.0).symbol); 16_000];
    let messages = writer.board(&BoardCopy { rates, removed, ..BoardCopy::default() });
    assert_eq!(messages.len(), 2);
    messages
}

fn in_step(writer: &mut FrameWriter) -> Dashboard {
    let mut dashboard = Dashboard::new();
    dashboard.take(&frame(writer, &[1.0]));
    dashboard.take(&board(writer));
    assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![]), (true, false)));
    dashboard
}

#[test]
fn it_asks_for_the_board_takes_it_and_goes_on_from_there() {
    let (mut dashboard, mut writer) = (Dashboard::new(), writer(1, 1));
    assert_eq!(dashboard.state(), (false, false), "nobody is there to be asked");
    dashboard.take(&frame(&mut writer, &[1.0]));
    assert_eq!((dashboard.told(), dashboard.state()), ((false, vec![]), (false, true)));
    let (parts, between) = (board(&writer), frame(&mut writer, &[2.0, 3.0]));
    dashboard.take(&parts[..1]);
    dashboard.take(&between);
    assert_eq!(dashboard.told(), (false, vec![]), "kept until the board is whole");
    dashboard.take(&parts[1..]);
    assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![2.0, 3.0]), (true, false)));
    dashboard.take(&frame(&mut writer, &[4.0]));
    dashboard.take(&board(&writer));
    assert_eq!(dashboard.told(), (false, vec![4.0]), "somebody else's board is not needed");
    dashboard.take(&between);
    assert_eq!((dashboard.told().1, dashboard.follower.take_missed()), (vec![], 0), "what comes twice is told once");
}

#[test]
fn what_is_missed_is_counted_to_the_tick_and_repaired_with_the_board() {
    let mut writer = writer(1, 1);
    let mut dashboard = in_step(&mut writer);
    dashboard.take(&frame(&mut writer, &[2.0]));
    frame(&mut writer, &[3.0, 4.0, 5.0]);
    dashboard.take(&frame(&mut writer, &[6.0]));
    assert_eq!((dashboard.told().1, dashboard.follower.take_missed()), (vec![2.0], 3));
    assert_eq!(dashboard.state(), (true, true), "its old board is shown meanwhile, and no JSON");
    dashboard.take(&frame(&mut writer, &[7.0]));
    dashboard.take(&board(&writer));
    dashboard.take(&frame(&mut writer, &[8.0]));
    assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![8.0]), (true, false)));
    // The last one before a silence: a sign of life tells.
    frame(&mut writer, &[9.0]);
    dashboard.take(&writer.sign_of_life(AT).collect::<Vec<_>>());
    assert_eq!((dashboard.follower.take_missed(), dashboard.state().1), (1, true));
}

#[test]
fn a_board_of_which_something_is_missing_is_asked_for_again() {
    let mut writer = writer(1, 1);
    let mut dashboard = Dashboard::new();
    dashboard.take(&frame(&mut writer, &[1.0]));
    let parts = board(&writer);
    dashboard.take(&parts[1..]);
    dashboard.take(&parts[..1]);
    frame(&mut writer, &[2.0]);
    dashboard.take(&frame(&mut writer, &[3.0]));
    dashboard.take(&parts[1..]);
    assert_eq!((dashboard.told(), dashboard.state()), ((false, vec![]), (false, true)));
    let parts = board(&writer);
    dashboard.take(&parts[..1]);
    // Another one began.
    dashboard.take(&board(&writer));
    assert_eq!((dashboard.told().0, dashboard.state()), (true, (true, false)));
    frame(&mut writer, &[4.0]);
    dashboard.take(&frame(&mut writer, &[5.0]));
    let header = Header { stream: Stream { epoch: 1, run: 1 }, sequence: 9, ticks_before: 0 };
    let garbage = [&[1, 1][..], &postcard::to_stdvec(&(header, 0_u32, 1_u32)).unwrap(), &[255; 20]].concat();
    assert!(dashboard.follower.take(&garbage, (dashboard.now, AT), &dashboard.outbox).is_err());
    assert_eq!(dashboard.state(), (true, true));
}

#[test]
fn a_higher_epoch_takes_over_with_its_board_and_a_lower_one_says_nothing() {
    let (mut old, mut new) = (writer(7, 9), writer(8, 1));
    let mut dashboard = in_step(&mut old);
    dashboard.take(&frame(&mut new, &[100.0]));
    assert_eq!(dashboard.state(), (true, true));
    dashboard.take(&frame(&mut old, &[2.0]));
    dashboard.take(&board(&old));
    assert_eq!(dashboard.told(), (false, vec![]), "neither the old one's nor, without its board, the new one's");
    dashboard.take(&board(&new));
    dashboard.take(&frame(&mut new, &[101.0]));
    assert_eq!((dashboard.told(), dashboard.follower.take_missed()), ((true, vec![101.0]), 0));
    dashboard.wait(60);
    dashboard.take(&frame(&mut old, &[3.0]));
    assert_eq!((dashboard.told(), dashboard.state()), ((false, vec![]), (false, false)), "not even after a silence");
}

#[test]
fn without_epochs_the_later_start_is_followed_or_whoever_is_left() {
    let (mut early, mut late) = (writer(0, 5), writer(0, 6));
    let mut dashboard = in_step(&mut early);
    dashboard.take(&frame(&mut late, &[1.0]));
    dashboard.take(&board(&late));
    assert!(dashboard.told().0);
    dashboard.wait(2);
    dashboard.take(&frame(&mut early, &[2.0]));
    dashboard.take(&board(&early));
    assert_eq!(dashboard.told(), (false, vec![]), "never to and fro");
    dashboard.wait(3);
    dashboard.take(&frame(&mut early, &[3.0]));
    dashboard.take(&board(&early));
    assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![]), (true, false)));
}

#[test]
fn a_collector_that_falls_silent_is_followed_no_more_until_its_board_has_come() {
    let mut writer = writer(1, 1);
    let mut dashboard = in_step(&mut writer);
    dashboard.wait(14);
    assert_eq!(dashboard.state(), (true, false));
    dashboard.wait(1);
    assert_eq!(dashboard.state(), (false, false));
    dashboard.take(&frame(&mut writer, &[2.0]));
    assert_eq!((dashboard.told(), dashboard.state()), ((false, vec![]), (false, true)), "JSON was told meanwhile");
    dashboard.take(&board(&writer));
    assert_eq!((dashboard.told().0, dashboard.state()), (true, (true, false)));
    // One that is there and whose board does not come.
    frame(&mut writer, &[3.0]);
    for _ in 0..15 {
        dashboard.take(&frame(&mut writer, &[4.0]));
        assert_eq!(dashboard.state(), (true, true));
        dashboard.wait(1);
    }
    assert_eq!(dashboard.state(), (false, true));
    assert_eq!(dashboard.start + Duration::from_secs(30), dashboard.now);
}
