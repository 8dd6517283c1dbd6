//! One route with one method, as it is described.

use super::schemas::{SchemaOf, of};
use schemars::JsonSchema;

/// Whom a route lets in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Anybody,
    /// Who may see the dashboard, and tokens of the scope `read`.
    Readers,
    /// Administrators, and tokens of the scope `operate`.
    Operators,
    /// Somebody signed in, with a browser: a page.
    People,
}

/// What is in a body.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Json(SchemaOf),
    /// Text of this type.
    Text(&'static str),
    /// Bytes of this type.
    Bytes(&'static str),
}

/// What a route answers with a status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    pub(super) content: Vec<Content>,
}

/// What is asked for in an address.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) is_required: bool,
}

/// What a route takes.
pub(super) enum Body {
    /// JSON; whether it may be left out.
    Json { schema: SchemaOf, is_required: bool },
    /// A form, of these fields where programs send it too.
    Form(Option<SchemaOf>),
}

/// A route with a method. Made by [`get`] and its like, and then told what it takes and answers.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) who: Who,
    /// What stands in the path.
    pub(super) path_about: &'static str,
    pub(super) query: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
}

fn new(method: &'static str, path: &'static str, summary: &'static str, who: Who) -> Operation {
    Operation { method, path, summary, who, path_about: "", query: Vec::new(), body: None, answers: Vec::new() }
}

/// `GET`, for those who may see the dashboard.
pub(super) fn get(path: &'static str, summary: &'static str) -> Operation {
    new("get", path, summary, Who::Readers)
}

/// `POST`, for those who may operate it.
pub(super) fn post(path: &'static str, summary: &'static str) -> Operation {
    new("post", path, summary, Who::Operators)
}

/// `PATCH`, for those who may operate it.
pub(super) fn patch(path: &'static str, summary: &'static str) -> Operation {
    new("patch", path, summary, Who::Operators)
}

/// `DELETE`, for those who may operate it.
pub(super) fn delete(path: &'static str, summary: &'static str) -> Operation {
    new("delete", path, summary, Who::Operators)
}

/// A page for people.
pub(super) fn page(path: &'static str, summary: &'static str) -> Operation {
    new("get", path, summary, Who::People).text(200, "text/html")
}

/// A form of a page for people. Whatever it does, the API does as well.
pub(super) fn form(path: &'static str, summary: &'static str) -> Operation {
    let done = new("post", path, summary, Who::People).empty(303, "Done, or not: the page that it leads to says so");
    Operation { body: Some(Body::Form(None)), ..done }
}

impl Operation {
    pub(super) fn for_anybody(self) -> Self {
        Self { who: Who::Anybody, ..self }
    }

    /// What stands in braces in the path.
    pub(super) fn with_path(self, path_about: &'static str) -> Self {
        Self { path_about, ..self }
    }

    /// What may stand in the query.
    pub(super) fn with_query(mut self, parameters: &[(&'static str, &'static str)]) -> Self {
        let optional = parameters.iter().map(|(name, about)| Parameter { name, about, is_required: false });
        self.query.extend(optional);
        self
    }

    /// What has to.
    pub(super) fn needs(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push(Parameter { name, about, is_required: true });
        self
    }

    pub(super) fn takes<T: JsonSchema>(self) -> Self {
        Self { body: Some(Body::Json { schema: of::<T>, is_required: true }), ..self }
    }

    pub(super) fn may_take<T: JsonSchema>(self) -> Self {
        Self { body: Some(Body::Json { schema: of::<T>, is_required: false }), ..self }
    }

    pub(super) fn takes_form<T: JsonSchema>(self) -> Self {
        Self { body: Some(Body::Form(Some(of::<T>))), ..self }
    }

    /// Answers JSON of this type with 200.
    pub(super) fn answers<T: JsonSchema>(self) -> Self {
        self.says(200, "Done", Content::Json(of::<T>))
    }

    /// Answers JSON of this type with another status.
    pub(super) fn answers_with<T: JsonSchema>(self, status: u16, about: &'static str) -> Self {
        self.says(status, about, Content::Json(of::<T>))
    }

    pub(super) fn text(self, status: u16, kind: &'static str) -> Self {
        self.says(status, "Done", Content::Text(kind))
    }

    pub(super) fn bytes(self, status: u16, kind: &'static str) -> Self {
        self.says(status, "Done", Content::Bytes(kind))
    }

    pub(super) fn says(mut self, status: u16, about: &'static str, content: Content) -> Self {
        match self.answers.iter_mut().find(|answer| answer.status == status) {
            Some(answer) => answer.content.push(content),
            None => self.answers.push(Answer { status, about, content: vec![content] }),
        }
        self
    }

    /// Answers nothing but the status.
    pub(super) fn empty(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push(Answer { status, about, content: Vec::new() });
        self
    }
}
