//! What becomes of templates.

use chrono::{DateTime, Utc};
use kolea_model::TEMPLATE_PREFIX;

use super::{Fold, lost};
use crate::record::{TemplateRecord, TemplateState};

impl Fold {
    /// The template of that name.
    pub(super) fn template(&mut self, name: &str) -> &mut TemplateRecord {
        let templates = &mut self.record.templates;
        let index = templates
            .iter()
            .position(|template| template.name == name)
            .unwrap_or_else(|| {
                templates.push(TemplateRecord {
                    name: name.to_owned(),
                    state: TemplateState::Planned,
                });
                templates.len() - 1
            });
        &mut templates[index]
    }

    /// From the start of the group that makes a template until now, in seconds.
    pub(super) fn making_seconds(&self, template: &str, now: DateTime<Utc>) -> f64 {
        let group = self
            .record
            .group(template)
            .or_else(|| self.record.group(&format!("{TEMPLATE_PREFIX}{template}")));
        let started = group.and_then(|group| group.started);
        started.map_or(0.0, |started| lost::since(started, now))
    }
}
