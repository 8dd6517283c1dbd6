//! What all charts share: the view, the point in time at which they are read, and the stretch that is being marked.

use super::{bands, range_bar};
use crate::model::{
    connection::ConnectionId,
    history::{
        selection::{Range, Selection},
        series::Bucket,
        view::HistoryView,
    },
    time::UnixMillis,
};
use leptos::prelude::*;

/// What the charts share.
#[derive(Clone, Copy)]
pub struct ChartContext {
    /// What is shown.
    pub view: Signal<HistoryView>,
    /// What is selected.
    pub selection: Selection,
    /// The point in time that is read; the newest when `None`.
    pub cursor: RwSignal<Option<UnixMillis>>,
    /// The stretch that is marked to be zoomed in on: from where, and to where by now.
    pub marked: RwSignal<Option<(UnixMillis, UnixMillis)>>,
    /// The paths of the gaps; each of one connection, where there are several.
    pub gaps: Memo<Vec<(Option<ConnectionId>, String)>>,
    /// The path of the events.
    pub events: Memo<String>,
    /// The connections that are shown, with their names.
    pub shown: Memo<Vec<(ConnectionId, String)>>,
}

impl ChartContext {
    /// The charts of a view.
    #[must_use]
    pub fn new(view: Signal<HistoryView>, selection: Selection) -> Self {
        let names = |view: &HistoryView| view.series.iter().map(|s| (s.connection_id, s.name.clone())).collect();
        Self {
            view,
            selection,
            cursor: RwSignal::new(None),
            marked: RwSignal::new(None),
            gaps: Memo::new(move |_| view.with(bands::gap_bands)),
            events: Memo::new(move |_| view.with(bands::event_lines)),
            shown: Memo::new(move |_| view.with(names)),
        }
    }

    /// The bucket at the point in time, or the newest one.
    #[must_use]
    pub fn place(&self) -> usize {
        let cursor = self.cursor.get();
        self.view.with(|view| cursor.map_or(view.length() - 1, |at| view.place(at)))
    }

    /// A connection's bucket there. The newest one is not over yet: without a point in time, the one before is read when
    /// it is still empty.
    #[must_use]
    pub fn bucket_of(&self, id: ConnectionId) -> Option<Bucket> {
        let (place, is_newest) = (self.place(), self.cursor.with(Option::is_none));
        self.view.with(|view| {
            let buckets = &view.series.iter().find(|series| series.connection_id == id)?.buckets;
            let here = buckets.get(place)?;
            match buckets.get(place.wrapping_sub(1)) {
                Some(before) if is_newest && here.covered_ms == 0 => Some(*before),
                _ => Some(*here),
            }
        })
    }

    /// Where the point in time is, from 0 to 1; the middle of its bucket.
    #[must_use]
    pub fn cursor_position(&self) -> Option<f64> {
        self.cursor.get()?;
        let place = self.place();
        Some(self.view.with(|view| (place as f64 + 0.5) / view.length() as f64))
    }

    /// Reads all charts at a bucket.
    pub fn read_at(&self, place: usize) {
        let at = self.view.with_untracked(|view| {
            let at = view.bucket_at(place.min(view.length() - 1));
            UnixMillis(at.0 + view.bucket_ms() as i64 / 2)
        });
        self.cursor.set(Some(at));
    }

    /// Marks from the point in time on, or goes on marking up to it.
    pub fn mark(&self) {
        if let Some(at) = self.cursor.get_untracked() {
            self.marked.update(|marked| *marked = Some((marked.map_or(at, |(from, _)| from), at)));
        }
    }

    /// The stretch that is marked, in whole buckets: where it begins and how long it is, as shares of the width.
    #[must_use]
    pub fn marked_share(&self) -> Option<(f64, f64)> {
        let (from, to) = self.marked.get()?;
        self.view.with(|view| {
            let (first, last) = (view.place(from.min(to)), view.place(from.max(to)));
            let length = view.length() as f64;
            Some((first as f64 / length, (last + 1 - first) as f64 / length))
        })
    }

    /// The address of the stretch that is marked, and of all else as it is chosen; `None` where nothing is.
    #[must_use]
    pub fn zoomed(&self) -> Option<String> {
        let (from, to) = self.marked.get_untracked()?;
        let range = self.view.with_untracked(|view| {
            let (first, last) = (view.place(from.min(to)), view.place(from.max(to)));
            (view.length() > 1).then(|| Range::Between(view.bucket_at(first), view.bucket_at(last + 1).min(view.to)))
        })?;
        Some(range_bar::href(&Selection { range, ..self.selection }))
    }

    /// Reads the charts at a moment, and brings them into sight where they are not.
    pub fn show(&self, at: UnixMillis) {
        self.cursor.set(Some(at));
        #[cfg(feature = "hydrate")]
        if let Some(charts) = document().get_element_by_id("charts") {
            charts.scroll_into_view();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_marked_in_whole_buckets_either_way() {
        let owner = Owner::new();
        owner.with(|| {
            let (from, to) = (UnixMillis(1_768_996_800_000), UnixMillis(1_768_996_900_000));
            let view = HistoryView { at: to, from, to, bucket_seconds: 10, ..HistoryView::default() };
            let selection = Selection { connections: Some(2).into(), ..Selection::default() };
            let context = ChartContext::new(Signal::stored(view), selection);
            context.mark();
            assert_eq!((context.marked_share(), context.zoomed()), (None, None), "nothing is read");
            context.read_at(4);
            context.mark();
            context.read_at(2);
            context.mark();
            assert_eq!(context.marked_share(), Some((0.2, 0.3)));
            let address = "/admin/metrics?from=2026-01-21T12:00:20.000Z&to=2026-01-21T12:00:50.000Z&connection=2";
            assert_eq!(context.zoomed().as_deref(), Some(address));
        });
    }
}
