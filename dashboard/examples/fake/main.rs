//! Serves the dashboard over a pool made up, to look at it: `cargo run -p lode-dashboard --example fake [ADDRESS]`.

mod port;

use std::sync::Arc;
use std::time::Duration;

use lode_dashboard::{HttpOptions, serve};
use lode_protocol::difficulty::Work;
use lode_protocol::ids::JobId;
use tokio::net::TcpListener;
use tokio::time::interval;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let fake = Arc::new(port::Fake::default());
    tokio::spawn(advance(Arc::clone(&fake)));
    let metrics = Some(lode_dashboard::metrics::install().expect("there is no other recorder"));
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be waited for") };
    serve(listener, fake, HttpOptions { metrics, ..HttpOptions::default() }, stop).await
}

async fn advance(fake: Arc<port::Fake>) {
    let mut ticks = interval(Duration::from_millis(400));
    let mut count = 0_u32;
    loop {
        ticks.tick().await;
        fake.change(JobId(4), |job| {
            job.work_proven = Work((job.work_proven.0 + (1 << 46)).min(job.work_quoted.0));
            job.shares += 1;
        });
        count += 1;
        fake.render(1, u64::from(count.is_multiple_of(4)));
    }
}
