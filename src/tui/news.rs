//! What one look at a state folder brought: the only way by which knowledge of a cluster reaches
//! the screen, and what a recording is made of.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::as_state::AsStateFile;
use crate::state::cluster_file::ClusterFile;
use crate::state::events::Event;
use crate::state::function_state::FunctionStateFile;
use crate::state::lb_state::LbStateFile;
use crate::state::metrics::Metric;
use crate::state::samples::Sample;
use crate::state::vm_state::VmStateFile;
use crate::state::{Document, View};

/// What is known of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word<D> {
    /// The last good one; none if there never was one.
    pub(crate) document: Option<Arc<D>>,
    /// Why the file as it stands is not used.
    pub(crate) problem: Option<String>,
}

impl<D> Default for Word<D> {
    fn default() -> Self {
        Self { document: None, problem: None }
    }
}

impl<D> From<&View<D>> for Word<D> {
    fn from(view: &View<D>) -> Self {
        Self {
            document: view.document.clone(),
            problem: view.problem.as_ref().map(ToString::to_string),
        }
    }
}

/// What `cluster.toml` says, and whether its process lives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ClusterWord {
    /// The file; none if there is none.
    pub(crate) file: Option<ClusterFile>,
    /// The process that holds the cluster together is there.
    pub(crate) alive: bool,
}

/// What has changed since the look before. What is `None` or empty has not.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct News {
    /// When it was looked.
    pub(crate) at: Timestamp,
    /// VMState.xml.
    pub(crate) vm_state: Option<Word<VmStateFile>>,
    /// ASState.xml.
    pub(crate) as_state: Option<Word<AsStateFile>>,
    /// LBState.xml.
    pub(crate) lb_state: Option<Word<LbStateFile>>,
    /// FunctionState.xml.
    pub(crate) functions: Option<Word<FunctionStateFile>>,
    /// cluster.toml.
    pub(crate) cluster: Option<ClusterWord>,
    /// Processes of VMs that are gone although VMState.xml still has them.
    pub(crate) gone: Option<BTreeSet<u32>>,
    /// New lines of samples.txt.
    pub(crate) samples: Vec<Sample>,
    /// New lines of events.log.
    pub(crate) events: Vec<Event>,
    /// New lines of metrics.txt.
    pub(crate) metrics: Vec<Metric>,
}

impl News {
    /// Nothing has changed.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self { at: self.at, ..Self::default() }
    }

    /// One line of a recording.
    ///
    /// # Errors
    /// None that can be met in practice: everything in it has a text.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Recorded {
            at: self.at,
            vm_state: self.vm_state.as_ref().map(RecordedWord::of),
            as_state: self.as_state.as_ref().map(RecordedWord::of),
            lb_state: self.lb_state.as_ref().map(RecordedWord::of),
            functions: self.functions.as_ref().map(RecordedWord::of),
            cluster: self.cluster.clone(),
            gone: self.gone.clone(),
            samples: texts(&self.samples),
            events: texts(&self.events),
            metrics: texts(&self.metrics),
        })
    }

    /// Reads one line of a recording.
    ///
    /// # Errors
    /// For a line that is not one, with what is wrong in it.
    pub(crate) fn from_json(line: &str) -> anyhow::Result<Self> {
        let recorded: Recorded = serde_json::from_str(line)?;
        Ok(Self {
            at: recorded.at,
            vm_state: recorded.vm_state.map(RecordedWord::read).transpose()?,
            as_state: recorded.as_state.map(RecordedWord::read).transpose()?,
            lb_state: recorded.lb_state.map(RecordedWord::read).transpose()?,
            functions: recorded.functions.map(RecordedWord::read).transpose()?,
            cluster: recorded.cluster,
            gone: recorded.gone,
            samples: lines(&recorded.samples)?,
            events: lines(&recorded.events)?,
            metrics: lines(&recorded.metrics)?,
        })
    }
}

/// A line of a recording: documents as the text of their files, lines as they stand in theirs.
#[derive(Serialize, Deserialize)]
struct Recorded {
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vm_state: Option<RecordedWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    as_state: Option<RecordedWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lb_state: Option<RecordedWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    functions: Option<RecordedWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<BTreeSet<u32>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    samples: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct RecordedWord {
    xml: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl RecordedWord {
    fn of<D: Document>(word: &Word<D>) -> Self {
        Self {
            xml: word.document.as_ref().map(|document| document.render()),
            problem: word.problem.clone(),
        }
    }

    fn read<D: Document>(self) -> anyhow::Result<Word<D>> {
        let document = self
            .xml
            .map(|xml| D::parse(xml.as_bytes()).map_err(|problem| anyhow::anyhow!("{problem}")))
            .transpose()
            .with_context(|| format!("the {} in it cannot be read", D::FILE))?;
        Ok(Word { document: document.map(Arc::new), problem: self.problem })
    }
}

fn texts<L: ToString>(lines: &[L]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

fn lines<L: FromStr>(texts: &[String]) -> anyhow::Result<Vec<L>>
where
    L::Err: std::error::Error + Send + Sync + 'static,
{
    let parse = |text: &String| text.parse().with_context(|| format!("in the line `{text}`"));
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::scaling;

    #[test]
    fn a_recording_says_all_that_the_screen_was_told() {
        let news = scaling();
        let again = News::from_json(&news.to_json().unwrap()).unwrap();
        assert_eq!(again.as_state, news.as_state);
        assert_eq!((&again.vm_state, &again.functions), (&news.vm_state, &news.functions));
        assert_eq!((again.events.len(), again.cluster), (news.events.len(), news.cluster));
        assert_eq!((again.samples.len(), again.metrics), (news.samples.len(), news.metrics));
    }

    #[test]
    fn a_line_that_is_no_recording_is_refused_with_its_reason() {
        let refused = News::from_json(r#"{"at":"2026-11-21T14:02:34Z","events":["x"]}"#);
        assert!(format!("{:#}", refused.unwrap_err()).contains("in the line `x`"));
        assert!(News::from_json("HEALTHY").is_err());
    }
}
