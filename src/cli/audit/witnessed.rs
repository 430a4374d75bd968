//! What the witnesses of the holder's journal saw of a partner's own: compared with what the partner itself saw.

use serde_json::json;

use super::WitnessedArgs;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::cosignature::{WitnessKey, cosigners};
use crate::audit::event::{Fact, Kind};
use crate::audit::note::VerifierKey;
use crate::audit::proof::verify_consistency;
use crate::audit::receipt::Receipt;
use crate::audit::tree::Hash;
use crate::cli::fault::CliError;
use crate::cli::files;
use crate::cli::receipt::{parse_key, parse_witness_key};
use crate::grpc::client::Client;
use crate::grpc::pb::partner as pb;

/// Fetches the newest witnessed head of the caller's journal and checks it.
pub(super) async fn verify(args: &WitnessedArgs) -> Result<(), CliError> {
    let own = parse_key(&args.key)?;
    let trust = Trust {
        holder: parse_key(&args.holder_key)?,
        witnesses: args.witness.iter().map(|key| parse_witness_key(key)).collect::<Result<_, _>>()?,
        needed: args.quorum.unwrap_or(args.witness.len()),
    };
    if !(1..=trust.witnesses.len()).contains(&trust.needed) {
        return Err(CliError::Usage(
            "`--quorum` is a number from 1 to that of the witnesses given".to_owned(),
        ));
    }
    let client = Client::connect(&args.client).await?;
    let note = match &args.checkpoint {
        Some(path) => files::read_text(path)?,
        None => {
            let call = client.request(pb::GetCheckpointRequest {});
            client.answer("the checkpoint", client.journal().get_checkpoint(call)).await?.checkpoint
        }
    };
    let known = Checkpoint::open(&note, &own)
        .map_err(|error| CliError::because("REFUSED: the checkpoint of your journal does not hold", error))?;
    let call = client.request(pb::GetWitnessedHeadRequest { known_size: known.size });
    let sent = client.answer("the witnessed head", client.journal().get_witnessed_head(call)).await?;
    let head = trust.check(&sent, &known)?;
    if let Some(path) = &args.out {
        files::replace_private(path, sent.receipt.as_bytes())?;
    }
    args.output.show(
        || {
            format!(
                "{} of your journal's entries, root {}, were seen by {}\nit is the journal that you know with {} \
                 entries, root {}",
                head.size,
                head.root,
                head.witnesses.join(", "),
                known.size,
                known.root
            )
        },
        &json!({
            "origin": known.origin, "size": head.size, "root": head.root.to_string(),
            "witnesses": head.witnesses, "holder_size": head.holder_size,
            "known": { "size": known.size, "root": known.root.to_string() },
        }),
    )
}

/// Whom the caller trusts: nothing of it comes from the server.
struct Trust {
    holder: VerifierKey,
    witnesses: Vec<WitnessKey>,
    needed: usize,
}

/// A head that holds.
#[derive(Debug)]
struct Head {
    size: u64,
    root: Hash,
    holder_size: u64,
    witnesses: Vec<String>,
}

impl Trust {
    /// Checks that enough witnesses cosigned a checkpoint of the holder's journal in which a head of the journal of
    /// `known` stands, and that the two are one journal.
    fn check(&self, sent: &pb::GetWitnessedHeadResponse, known: &Checkpoint) -> Result<Head, CliError> {
        let refused = |what: &str| CliError::Found(format!("REFUSED: {what}; keep it and report it"));
        let receipt = Receipt::parse(&sent.receipt)
            .map_err(|error| CliError::because("REFUSED: the receipt of the head does not hold", error))?;
        let verified = receipt
            .verify(&self.holder)
            .map_err(|error| CliError::because("REFUSED: the receipt of the head does not hold", error))?;
        let names = cosigners(&receipt.checkpoint, &self.witnesses)
            .map_err(|error| CliError::because("REFUSED: a witness's cosignature does not hold", error))?;
        if names.len() < self.needed {
            return Err(refused(&format!(
                "{} of your witnesses cosigned it, and {} are needed",
                names.len(),
                self.needed
            )));
        }
        let event = verified.event.filter(|event| event.kind == Kind::JournalHead);
        let event = event.ok_or_else(|| refused("the entry does not state the head of a journal"))?;
        if event.fact(Fact::Journal) != journal_name(&known.origin).map(str::as_bytes) {
            return Err(refused("the entry states the head of another journal"));
        }
        let size = event.fact(Fact::TreeSize).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let root = event.fact(Fact::Root).and_then(Hash::from_slice);
        let (Some(size), Some(root)) = (size, root) else {
            return Err(refused("the entry states no size and root"));
        };
        let proof =
            sent.consistency_proof.iter().map(|hash| Hash::from_slice(hash)).collect::<Option<Vec<_>>>();
        let proof = proof.ok_or_else(|| refused("the consistency proof is not in its form"))?;
        let (old, new) = ((size, root), (known.size, known.root));
        let (old, new) = if old.0 <= new.0 { (old, new) } else { (new, old) };
        verify_consistency(old.0, new.0, &proof, &old.1, &new.1).map_err(|error| {
            CliError::because(
                "REFUSED: the journal that the witnesses saw is not proven to be the one that you know; keep both and \
                 report it",
                error,
            )
        })?;
        let witnesses = names.into_iter().map(str::to_owned).collect();
        Ok(Head { size, root, holder_size: verified.size, witnesses })
    }
}

/// The journal's name in its origin: `host/onebit/name`.
fn journal_name(origin: &str) -> Option<&str> {
    origin.split_once("/onebit/").and_then(|(_, rest)| rest.split('/').next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::Draft;
    use crate::audit::event::Event;
    use crate::audit::note::{Ed25519Signer, NoteSigner};
    use crate::audit::tree::{leaf_hash, node_hash};
    use crate::clock::Timestamp;
    use crate::ids::Digest;
    use crate::secret::SystemEntropy;

    const HOLDER: &str = "immigration.example/onebit/holder";

    fn signer(seed: u8) -> Ed25519Signer {
        Ed25519Signer::from_seed(&[seed; 32])
    }

    fn witness(seed: u8) -> WitnessKey {
        WitnessKey::new(&format!("w{seed}"), signer(seed).public_key()).unwrap()
    }

    fn trust(seeds: &[u8]) -> Trust {
        Trust {
            holder: VerifierKey::new(HOLDER, signer(1).public_key()).unwrap(),
            witnesses: seeds.iter().map(|seed| witness(*seed)).collect(),
            needed: 2,
        }
    }

    fn known(size: u64, root: Hash) -> Checkpoint {
        Checkpoint { origin: "immigration.example/onebit/au-border".to_owned(), size, root }
    }

    /// What a server sends about the first entry of a journal of two.
    fn sent(kind: Kind, journal: &str, cosigned_by: &[u8], proof: &[Hash]) -> pb::GetWitnessedHeadResponse {
        let event = Event::new(kind, Timestamp::from_millis(0), "onebit", Digest::sha256(b"p"))
            .text(Fact::Journal, journal)
            .number(Fact::TreeSize, 1)
            .with(Fact::Root, leaf_hash(b"a").as_bytes());
        let draft = Draft::private(&event, &SystemEntropy::new()).unwrap();
        let head = Checkpoint { origin: HOLDER.to_owned(), size: 1, root: draft.entry.leaf_hash() };
        let lines: String =
            cosigned_by.iter().map(|seed| witness(*seed).cosign(&head.body(), 5, &signer(*seed))).collect();
        let checkpoint = head.sign(&signer(1)) + &lines;
        let receipt =
            Receipt { entry: draft.entry, opening: Some(draft.holder), index: 0, proof: vec![], checkpoint };
        pb::GetWitnessedHeadResponse {
            receipt: receipt.to_text(),
            consistency_proof: proof.iter().map(|hash| hash.as_bytes().to_vec()).collect(),
            verifier_key: String::new(),
        }
    }

    #[test]
    fn a_head_that_witnesses_saw_is_compared_with_what_the_partner_knows() {
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let known = known(2, node_hash(&a, &b));
        let head =
            trust(&[2, 3, 4]).check(&sent(Kind::JournalHead, "au-border", &[2, 4], &[b]), &known).unwrap();
        assert_eq!((head.size, head.root, head.holder_size), (1, a, 1));
        assert_eq!(head.witnesses, ["w2", "w4"]);
        let refused = |trust: &Trust, sent: &pb::GetWitnessedHeadResponse, known: &Checkpoint, why: &str| {
            let error = trust.check(sent, known).unwrap_err().chain();
            assert!(error.starts_with("REFUSED") && error.contains(why), "`{why}`: {error}");
        };
        let good = sent(Kind::JournalHead, "au-border", &[2, 4], &[b]);
        refused(&trust(&[2, 3]), &good, &known, "1 of your witnesses");
        refused(
            &trust(&[2, 4]),
            &sent(Kind::JournalHead, "ca-border", &[2, 4], &[b]),
            &known,
            "another journal",
        );
        refused(&trust(&[2, 4]), &sent(Kind::LogRead, "au-border", &[2, 4], &[b]), &known, "does not state");
        let other = Checkpoint { root: node_hash(&b, &a), ..known.clone() };
        refused(&trust(&[2, 4]), &good, &other, "not proven to be the one");
        refused(&trust(&[2, 4]), &sent(Kind::JournalHead, "au-border", &[2, 4], &[]), &known, "not proven");
        let stranger = Trust { holder: VerifierKey::new(HOLDER, [7; 32]).unwrap(), ..trust(&[2, 4]) };
        refused(&stranger, &good, &known, "does not hold");
    }
}
