//! What becomes of tests and groups whose end was not recorded.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kolea_model::Verdict;

use super::Fold;
use crate::record::AttemptRecord;
use crate::text;

impl Fold {
    /// End a test whose end was not recorded.
    pub(super) fn lose(&mut self, index: usize, last: DateTime<Utc>) {
        let progress = &self.progress[index];
        let ended = self.ended();
        let group = self.record.tests[index].group.clone();
        let stage = group
            .as_ref()
            .and_then(|group| self.groups.get(group))
            .map(|group| &self.stages[*group]);
        let test = &mut self.record.tests[index];
        if let Some((number, started)) = progress.open {
            let seconds = since(started, last);
            let verdict = Verdict::Lost {
                reason: format!(
                    "{ended} while it was {} (attempt {number}, {} after it began)",
                    progress.phase,
                    text::duration(seconds)
                ),
            };
            test.attempts.push(AttemptRecord {
                number,
                group: group.unwrap_or_default(),
                machines: stage
                    .map(|stage| stage.machines.clone())
                    .unwrap_or_default(),
                started: Some(started),
                verdict: verdict.clone(),
                seconds,
                own_seconds: 0.0,
                output: String::new(),
                artifacts: BTreeMap::new(),
                retry: None,
            });
            test.verdict = verdict;
        } else if let Some((last, earlier)) = test.attempts.split_last() {
            // The attempt ended, but what the engine made of it was not recorded.
            test.verdict = match (&last.retry, &last.verdict) {
                (Some(retry), verdict) => Verdict::Lost {
                    reason: format!(
                        "{ended} before another attempt ({retry}); the last one: {}",
                        verdict.reason()
                    ),
                },
                (None, Verdict::Pass) => earlier
                    .iter()
                    .find(|attempt| {
                        matches!(
                            attempt.verdict,
                            Verdict::Fail { .. } | Verdict::Timeout { .. }
                        )
                    })
                    .map_or(Verdict::Pass, |failed| Verdict::Flaky {
                        reason: failed.verdict.reason(),
                    }),
                (None, verdict) => verdict.clone(),
            };
        } else {
            let reason = match stage {
                Some(stage) if stage.running => {
                    format!("{ended} before it began; its machine was {}", stage.phase)
                }
                _ => format!("{ended} before it began"),
            };
            test.verdict = Verdict::Lost { reason };
        }
        // An empty sum of floats would be -0.
        test.seconds = test
            .attempts
            .iter()
            .fold(0.0, |sum, attempt| sum + attempt.seconds);
    }

    /// End a shared group whose end checks were not recorded, unless a lost member tells of it already.
    pub(super) fn lose_group(&mut self, index: usize, last: DateTime<Utc>) {
        let stage = &self.stages[index];
        if !stage.running {
            return;
        }
        let group = &self.record.groups[index];
        let seconds = since(group.started.unwrap_or(last), last);
        let member_lost = self
            .record
            .members(group)
            .any(|test| matches!(test.verdict, Verdict::Lost { .. }));
        let verdict = if group.shared && !member_lost {
            Verdict::Lost {
                reason: format!("{} while its machine was {}", self.ended(), stage.phase),
            }
        } else {
            Verdict::Pass
        };
        let group = &mut self.record.groups[index];
        group.seconds = seconds;
        group.verdict = verdict;
    }

    /// Why nothing more was recorded.
    fn ended(&self) -> String {
        match (&self.record.interrupted, self.record.exit) {
            (Some(signal), _) => format!("the run was interrupted ({signal})"),
            (None, Some(_)) => "the run ended".to_owned(),
            (None, None) => "kolea was killed or crashed".to_owned(),
        }
    }
}

/// Seconds between two times; none if the clock was set back.
pub(super) fn since(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    to.signed_duration_since(from)
        .to_std()
        .map_or(0.0, |time| time.as_secs_f64())
}
