//! The ledger, as the hall asks it.

use lode_protocol::Digest;
use lode_protocol::ids::{AssetName, JobId, UserName};

use super::floor::Claim;
use super::hall::{Log, Refused};
use crate::ledger::entry::Outcome;
use crate::ledger::plan::{Command, Refusal, UnitClaim};
use crate::ledger::writer::{Ledger, LedgerError};

impl Log for Ledger {
    async fn unit(&self, claim: Claim, user: UserName, digest: Digest) -> Result<(), Refused> {
        let Claim { job, key, first, count, duplicate, .. } = claim;
        let Ok(count) = u32::try_from(count) else { return Err(Refused::Other("too many elements".into())) };
        let unit = UnitClaim { job, user, key, first, count, digest: digest.0, duplicate };
        match self.enter(Command::Unit(Box::new(unit))).await {
            Ok(_) => Ok(()),
            Err(LedgerError::Refused(refusal)) => Err(match refusal {
                Refusal::Duplicate => Refused::Duplicate,
                Refusal::Banned => Refused::Banned,
                Refusal::Stale => Refused::Stale,
                other => {
                    tracing::error!(%job, first, count, refusal = %other, "a unit that was issued cannot be entered");
                    Refused::Other(other.to_string())
                }
            }),
            Err(LedgerError::Down(_)) => {
                Err(Refused::Other("the pool cannot record units now; this one may not count".into()))
            }
        }
    }

    async fn end(&self, job: JobId, outcome: Outcome) -> bool {
        match self.enter(Command::End { job, outcome }).await {
            Ok(_) => true,
            // All of it is done, and only waits for its audit.
            Err(LedgerError::Refused(Refusal::Finishing(_))) => false,
            Err(error) => {
                tracing::error!(%job, %error, "a job that is due could not be ended");
                false
            }
        }
    }

    fn fees(&self, asset: &AssetName) -> u128 {
        self.store().fees(asset).unwrap_or_else(|error| {
            tracing::error!(%asset, %error, "the fee account cannot be read; no canary is issued");
            0
        })
    }
}
