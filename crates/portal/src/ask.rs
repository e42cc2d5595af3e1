//! What cannot simply be taken back is said in numbers first, and asked.

use askama::Template;
use axum::response::Response;

use crate::crowd::Crowd;
use crate::form::Fields;
use crate::shell::{Shell, page};
use crate::who::Who;

/// Something that is about to be done.
pub(crate) struct Question<'a> {
    /// Which entry of the navigation it belongs to.
    pub(crate) section: &'static str,
    /// What is asked: `Remove Ada?`
    pub(crate) title: String,
    /// What it would do.
    pub(crate) says: Vec<String>,
    /// Who would lose access by it.
    pub(crate) crowd: Option<Crowd>,
    /// What the button says.
    pub(crate) button: &'static str,
    /// Where the form goes, and where it came from.
    pub(crate) action: &'a str,
    pub(crate) back: &'a str,
}

#[derive(Template)]
#[template(path = "ask.html")]
struct Ask<'a> {
    shell: Shell,
    says: Vec<String>,
    crowd: Option<Crowd>,
    button: &'static str,
    action: &'a str,
    back: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

/// Was it asked, and answered?
pub(crate) fn is_sure(fields: &Fields) -> bool {
    fields.text("sure") == "yes"
}

/// The page that asks: the form again, to be sent once more.
pub(crate) fn ask(who: &Who, fields: &Fields, question: Question<'_>) -> Response {
    page(&Ask {
        shell: Shell::new(question.title, question.section, who),
        says: question.says,
        crowd: question.crowd,
        button: question.button,
        action: question.action,
        back: question.back,
        fields: fields.iter().filter(|(name, _)| *name != "sure").collect(),
    })
}
