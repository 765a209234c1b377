//! The frames of one entry while it is handed out.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Form, Listener, Subscriber};
use crate::{
    event::{Entry, Event},
    frame::Template,
    routes::{Exclusion, LeftOut},
};

/// By template: each shared one is rendered once. And whom
/// the entry leaves out, by rule.
#[derive(Default)]
pub(super) struct Rendered {
    frames: SmallVec<[(*const Template, Form, Utf8Bytes); 4]>,
    left_out: SmallVec<[(*const Exclusion, LeftOut); 1]>,
}

impl Rendered {
    /// Whether the event leaves out this very client, by its endpoint's rule.
    pub(super) fn leaves_out(
        &mut self,
        rule: &Exclusion,
        event: &Event,
        listener: Listener<'_>,
    ) -> bool {
        let key = std::ptr::from_ref(rule);
        let known = self.left_out.iter().position(|(other, _)| *other == key);
        let at = known.unwrap_or_else(|| {
            self.left_out.push((key, rule.of(event)));
            self.left_out.len() - 1
        });
        self.left_out[at].1.has(listener.user, listener.name)
    }

    pub(super) fn text(
        &mut self,
        template: &Arc<Template>,
        entry: &Entry,
        subscriber: &Subscriber,
    ) -> Utf8Bytes {
        let form = subscriber.form;
        if let Some(text) = self.known(template, form) {
            return text;
        }
        // Rendered once, in however many forms it is sent.
        let bare = self.known(template, Form::Bare);
        let frame = bare.unwrap_or_else(|| {
            let frame = subscriber.render_with(template, &entry.event);
            self.note(template, Form::Bare, &frame);
            frame
        });
        let text = form.event(frame, entry.position);
        if form != Form::Bare {
            self.note(template, form, &text);
        }
        text
    }

    fn known(&self, template: &Arc<Template>, form: Form) -> Option<Utf8Bytes> {
        let key = (Arc::as_ptr(template), form);
        let mut frames = self.frames.iter();
        let known = frames.find(|(template, form, _)| (*template, *form) == key);
        known.map(|(.., text)| text.clone())
    }

    fn note(&mut self, template: &Arc<Template>, form: Form, text: &Utf8Bytes) {
        if !template.is_personal() {
            let key = Arc::as_ptr(template);
            self.frames.push((key, form, text.clone()));
        }
    }
}
