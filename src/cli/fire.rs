//! How the screen reaches the client.

use std::path::{Path, PathBuf};

use crate::client::volley;
use crate::operator::Volley;
use crate::state::StateFolder;
use crate::tui::{Fire, Tell};

/// Where the pictures of fired requests go, in the folder in which the program was started.
const PICTURES: &str = "cumulet-pictures";

/// Fires at whatever cluster runs on a state folder by then.
pub(super) fn at_cluster(state: &Path) -> Fire {
    let state = state.to_owned();
    Fire::by(move |volley, tell| {
        let state = state.clone();
        Box::pin(async move {
            let outcome = fire(state, volley, tell).await.map_err(|error| format!("{error:#}"))?;
            if outcome.is_good() { Ok(outcome.to_string()) } else { Err(outcome.to_string()) }
        })
    })
}

async fn fire(state: PathBuf, volley: Volley, tell: Tell) -> anyhow::Result<volley::Outcome> {
    let running = tokio::task::spawn_blocking(move || {
        anyhow::Ok(StateFolder::existing(&state)?.read_cluster_file()?)
    });
    let Some(cluster) = running.await?? else {
        anyhow::bail!("no cluster runs here: nobody would answer");
    };
    let (count, word) = (volley.count, volley.workload.as_str());
    volley::fire(&cluster.balancer, volley, Path::new(PICTURES), |done| {
        tell(format!("{done} of {count} {word} done"));
    })
    .await
}
