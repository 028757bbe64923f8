//! Sponsors: their keys and their money.

use lode_dashboard::port::PortError;
use lode_protocol::api::{DepositRequest, DepositView, NewSponsor, SponsorCreated, SponsorView};
use lode_protocol::ids::SponsorName;

use super::{Face, refused, store_down};
use crate::ledger::plan::{Command, Done, Refusal};
use crate::ledger::writer::LedgerError;
use crate::views;

pub(super) fn view(face: &Face, sponsor: &SponsorName) -> Result<SponsorView, PortError> {
    let found = face.store().sponsor(sponsor).map_err(|error| store_down(&error))?;
    let found = found.ok_or_else(|| PortError::NotFound(format!("sponsor {sponsor}")))?;
    Ok(views::sponsor(sponsor, &found))
}

pub(super) async fn create(face: &Face, new: NewSponsor) -> Result<SponsorCreated, PortError> {
    let name = new.name;
    let created = face.shared.ledger.enter(Command::CreateSponsor(name.clone())).await;
    // A sponsor whose making ended between the ledger and its key gets the key now.
    let exists = match created {
        Err(error @ LedgerError::Refused(Refusal::SponsorExists(_))) => Some(refused(error)),
        other => other.map(|_| None).map_err(refused)?,
    };
    let key = tokio::task::block_in_place(|| face.secrets.add_sponsor(&name));
    match key.map_err(|error| PortError::LedgerDown(error.to_string()))? {
        Some(key) => Ok(SponsorCreated { name, key }),
        None => Err(exists.unwrap_or_else(|| PortError::Conflict(format!("{name} has a key already")))),
    }
}

pub(super) async fn deposit(face: &Face, deposit: DepositRequest) -> Result<DepositView, PortError> {
    let done = face.shared.ledger.enter(Command::Deposit(deposit.clone())).await.map_err(refused)?;
    let balances = view(face, &deposit.sponsor)?;
    let balance = balances.assets.get(&deposit.asset).map(|asset| asset.balance).unwrap_or_default();
    let DepositRequest { sponsor, asset, amount, reference } = deposit;
    Ok(DepositView { sponsor, asset, amount, reference, balance, repeated: done == Done::Repeated })
}
