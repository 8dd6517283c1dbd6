//! `tickstock-monitor simulator`: the simulated market alone.

use anyhow::Context;
use server::signals;
use simulator::SimulatorArgs;
use tokio::net::TcpListener;

pub(crate) async fn run(args: SimulatorArgs) -> anyhow::Result<()> {
    let address = args.listen;
    let config = args.try_into()?;
    let stop = signals::until_told_to_stop()?;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("--listen {address}: cannot listen there"))?;
    for address in super::openable(listener.local_addr()?) {
        println!("Simulated market on ws://{address}/stocks; faults: POST http://{address}/control");
    }
    Ok(simulator::serve(config, listener, stop).await?)
}
