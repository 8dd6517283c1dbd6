//! Writes rows as they come out of the database.

use super::{
    asked::{Asked, Format},
    records::{Fields, RecordKind, Row},
};
use crate::database::{Database, QueryError};
use crate::routes::csv;
use app::model::time::UnixMillis;
use axum::{
    body::Body,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::Value;

/// Rows in memory at a time.
const PAGE: u32 = 1_000;

/// An answer under way.
struct Writer<T: RecordKind> {
    database: Database,
    table: T,
    asked: Asked,
    /// The page that was read and is not written yet; `None` after the last.
    page: Option<Vec<T::Row>>,
    written: u32,
    last: Option<(UnixMillis, i64)>,
}

/// The whole answer. Its first page is read before it begins, so that a database that does not answer is told with a
/// status.
pub(super) async fn answer<T: RecordKind>(database: Database, table: T, asked: Asked) -> Result<Response, QueryError> {
    let mut writer = Writer { last: asked.cursor, database, table, asked, page: None, written: 0 };
    writer.page = Some(writer.read().await?);
    let (format, head) = (writer.asked.format, writer.head());
    let rest = stream::try_unfold(Some(writer), |writer| async move {
        let Some(mut writer) = writer else { return Ok(None) };
        let Some(page) = writer.page.take() else { return Ok(Some((writer.foot(), None))) };
        let is_full = page.len() == writer.page_size() as usize;
        let chunk = writer.rows(&page);
        if is_full && writer.written < writer.asked.limit {
            writer.page = Some(writer.read().await?);
        }
        Ok::<_, QueryError>(Some((chunk, Some(writer))))
    });
    let body = stream::StreamExt::chain(stream::once(async move { Ok(head) }), rest);
    let body = Body::from_stream(body);
    Ok(match format {
        Format::Json => ([(CONTENT_TYPE, "application/json".to_owned())], body).into_response(),
        Format::Csv => {
            let name = format!("attachment; filename=\"tickstock-{}.csv\"", T::NAME);
            ([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)], body).into_response()
        }
    })
}

impl<T: RecordKind> Writer<T> {
    /// Rows of the page after what is written.
    fn page_size(&self) -> u32 {
        PAGE.min(self.asked.limit - self.written)
    }

    async fn read(&self) -> Result<Vec<T::Row>, QueryError> {
        self.table.page(&self.database, self.last, self.page_size()).await
    }

    fn head(&self) -> String {
        match self.asked.format {
            Format::Csv => csv::line(T::Told::COLUMNS.iter().copied()),
            Format::Json => {
                let range = [("from", self.asked.range.start), ("to", self.asked.range.end)];
                let range = range.into_iter().map(|(name, at)| (name, serde_json::json!(at)));
                let about = T::ABOUT.iter().copied().zip(self.table.about().into_iter().map(Value::from));
                let about = range.chain(about);
                let about: String = about.map(|(name, value)| format!("\"{name}\":{value},")).collect();
                format!("{{{about}\"{}\":[", T::NAME)
            }
        }
    }

    fn rows(&mut self, page: &[T::Row]) -> String {
        let mut text = String::with_capacity(page.len() * 300);
        for row in page {
            let told = self.table.told(row);
            match self.asked.format {
                Format::Csv => text.push_str(&line(told.fields())),
                Format::Json => {
                    if self.written > 0 {
                        text.push(',');
                    }
                    text.push_str(&serde_json::to_string(&told).unwrap_or_default());
                }
            }
            self.written += 1;
        }
        self.last = page.last().map(T::key).or(self.last);
        text
    }

    /// A page that is full may have one after it; whether it has, the next request finds out.
    fn foot(&self) -> String {
        match self.asked.format {
            Format::Csv => String::new(),
            Format::Json => {
                let more = self.last.filter(|_| self.written == self.asked.limit);
                let cursor = more.map_or(Value::Null, |(at, id)| format!("{}-{id}", at.0).into());
                format!("],\"next_cursor\":{cursor}}}")
            }
        }
    }
}

/// A line of CSV.
fn line(fields: Fields) -> String {
    let cells: Vec<_> = fields.into_iter().map(|(_, value)| cell(value)).collect();
    csv::line(cells.iter().map(String::as_str))
}

fn cell(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Array(words) => words.into_iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_empty_and_a_list_has_blanks() {
        let fields = vec![("a", json!(1.5)), ("b", Value::Null), ("c", json!("x, y")), ("d", json!(["A", "B"]))];
        assert_eq!(line(fields), "1.5,,\"x, y\",A B\r\n");
    }
}
