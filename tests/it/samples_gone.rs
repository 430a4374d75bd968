//! What is left in the server's memory of samples that came in: nothing, once their connection is over.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use onebit::grpc::pb::partner::Answer;

use crate::confirm::{asked_with, confirming};
use crate::holder::{Holder, until, who};
use crate::story::{STRANGER, ask, people, question, sample_of};

#[tokio::test(flavor = "multi_thread")]
async fn raw_samples_are_nowhere_in_the_servers_memory_when_their_connections_are_over() {
    let holder = Holder::start(confirming(50)).await;
    // A hit and a stranger, the samples of several questions, all of which went through TLS, HTTP/2 and protobuf.
    let mut sent: Vec<Vec<f32>> = (0..50).map(|person| people().embedding(person)).collect();
    let channel = holder.channel(who::AU).await;
    for person in (0..6).chain(STRANGER..STRANGER + 6) {
        let probe = sample_of(person, 3);
        sent.push(probe.clone());
        let answered = ask(&channel, question(vec![probe])).await.unwrap();
        assert_eq!(answered.answer() == Answer::Hit, person < STRANGER);
    }
    // And one that confirms a hit.
    let fresh = sample_of(7, 9);
    asked_with(&holder, &holder.hit(7).await, &fresh).await;
    sent.push(fresh);
    let known = Windows::of(&[b"demo-face-256: a scheme's name that the server holds"[..13].to_vec()]);
    assert!(known.count_in(holder.process()) > 0, "the search through memory has lost its way");

    let raw = Windows::of_samples(&sent);
    println!("with the connection open {} parts of samples are in memory", raw.count_in(holder.process()));
    drop(channel);
    let gone = || async { raw.count_in(holder.process()) == 0 };
    until("no four components of a raw sample are in the server's memory", gone).await;
}

/// Short pieces of what is looked for, of one length.
struct Windows {
    bytes: usize,
    pieces: HashSet<Vec<u8>>,
    /// Which pairs of bytes a piece begins with.
    begins: Vec<bool>,
}

impl Windows {
    /// Any four components that follow one another in a sample, as they lie in memory and on the wire.
    fn of_samples(samples: &[Vec<f32>]) -> Self {
        let four = |four: &[f32]| four.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::of(&samples.iter().flat_map(|sample| sample.windows(4).map(four)).collect::<Vec<_>>())
    }

    fn of(pieces: &[Vec<u8>]) -> Self {
        let mut begins = vec![false; 1 << 16];
        for piece in pieces {
            begins[usize::from(u16::from_le_bytes([piece[0], piece[1]]))] = true;
        }
        Self { bytes: pieces[0].len(), pieces: pieces.iter().cloned().collect(), begins }
    }

    /// How often one of them stands anywhere in the memory that the process may write to.
    fn count_in(&self, process: u32) -> usize {
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let ranges = maps.lines().filter(|line| line.contains(" rw")).filter_map(|line| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
        });
        let mut part = vec![0; PART_BYTES];
        let mut found = 0;
        for (start, end) in ranges {
            // What lies across two parts is found in the second.
            for at in (start..end).step_by(PART_BYTES - self.bytes + 1) {
                let most = usize::try_from(end - at).unwrap().min(PART_BYTES);
                // What was unmapped meanwhile holds nothing.
                let Ok(read) = memory.read_at(&mut part[..most], at) else { break };
                found += self.count_within(&part[..read]);
            }
        }
        found
    }

    fn count_within(&self, bytes: &[u8]) -> usize {
        let begins = |window: &&[u8]| self.begins[usize::from(u16::from_le_bytes([window[0], window[1]]))];
        bytes.windows(self.bytes).filter(begins).filter(|window| self.pieces.contains(*window)).count()
    }
}

const PART_BYTES: usize = 1 << 20;
