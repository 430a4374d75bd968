//! What can happen after a release, whatever became of it: it changes no state, and nothing leaves by it.

use super::super::correction::{
    Correction, CorrectionAnswer, CorrectionAsked, CorrectionKind, CorrectionNew, SignedCorrectionAsk, Told,
};
use super::super::deed::{Deed, DeedKind};
use super::super::refused::Refused;
use super::super::step::{Event, Step};
use super::{Disclosure, Transition};
use crate::clock::Timestamp;
use crate::ids::ActorName;

impl Disclosure {
    /// The holder corrects something that was released.
    ///
    /// # Errors
    /// [`Refused::NotNow`] when nothing was released, [`Refused::FieldNotAsked`] for a field that was not.
    pub fn correct(&self, new: CorrectionNew, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::CorrectionMade(new) })
    }

    /// The partner is told of the correction at this place of [`Self::corrections`].
    ///
    /// # Errors
    /// [`Refused::NoCorrection`] when there is none that waits.
    pub fn correction_tell(
        &self,
        place: u32,
        acknowledge_by: Timestamp,
        now: Timestamp,
    ) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::CorrectionTold { place, acknowledge_by } })
    }

    /// The partner has acted on the correction of this number.
    ///
    /// # Errors
    /// [`Refused::NoCorrection`] when none of this number was told, or it is acknowledged.
    pub fn correction_acknowledge(
        &self,
        number: u32,
        by: ActorName,
        now: Timestamp,
    ) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::CorrectionAcknowledged { number, by } })
    }

    /// The time to acknowledge the correction of this number is over.
    ///
    /// # Errors
    /// [`Refused::NoCorrection`], [`Refused::TooEarly`].
    pub fn correction_overdue(&self, number: u32, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::CorrectionOverdue { number } })
    }

    /// The partner asks that something released is corrected, or withdraws its need.
    ///
    /// # Errors
    /// [`Refused::NotNow`] before a release, [`Refused::AskedAlready`] while one waits for its answer.
    pub fn correction_ask(
        &self,
        ask: SignedCorrectionAsk,
        now: Timestamp,
    ) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::CorrectionAsked(ask) })
    }

    /// The corrections of what was released, in the order in which they were made.
    #[must_use]
    pub fn corrections(&self) -> &[Correction] {
        &self.corrections
    }

    /// What the partner asked for after the release.
    #[must_use]
    pub fn corrections_asked(&self) -> &[CorrectionAsked] {
        &self.corrections_asked
    }

    /// What the partner asked for and nobody has answered.
    #[must_use]
    pub fn correction_asked(&self) -> Option<&CorrectionAsked> {
        self.corrections_asked.last().filter(|asked| asked.answer.is_none())
    }

    /// Takes a step that belongs after a release, in every state that came of one; `None` for any other step.
    pub(super) fn afterwards(&self, step: &Step) -> Option<Result<Self, Refused>> {
        let is_released = self.fetch_by.is_some();
        let mut after = self.clone();
        let taken = match &step.event {
            Event::CorrectionMade(new) => after.corrected(new, step.at),
            Event::CorrectionTold { place, acknowledge_by } => after.told(*place, *acknowledge_by, step.at),
            Event::CorrectionAcknowledged { number, .. } => after.told_of(*number).and_then(|told| {
                if told.acknowledged.is_some() {
                    return Err(Refused::NoCorrection);
                }
                told.acknowledged = Some(step.at);
                Ok(())
            }),
            Event::CorrectionOverdue { number } => after.told_of(*number).and_then(|told| {
                if told.acknowledged.is_some() || told.is_overdue {
                    return Err(Refused::NoCorrection);
                }
                if step.at < told.acknowledge_by {
                    return Err(Refused::TooEarly);
                }
                told.is_overdue = true;
                Ok(())
            }),
            Event::CorrectionAsked(ask) => after.asked(ask, step.at),
            Event::Done(deed) => match deed.kind() {
                DeedKind::AcceptCorrection | DeedKind::RefuseCorrection => after.ask_answered(deed, step.at),
                DeedKind::StateCorrection => after.stated(deed, step.at),
                DeedKind::HitErroneous if is_released => after.found_erroneous(deed, step.at),
                _ => return None,
            },
            _ => return None,
        };
        let taken = self.must(is_released, "corrected").and(taken);
        Some(taken.map(|()| after))
    }

    fn corrected(&mut self, new: &CorrectionNew, at: Timestamp) -> Result<(), Refused> {
        let granted = self.granted();
        for field in new.fields.iter() {
            if !granted.as_ref().is_some_and(|granted| granted.contains(field)) {
                return Err(Refused::FieldNotAsked(field.clone()));
            }
        }
        self.corrections.push(Correction { new: new.clone(), made: at, told: None });
        Ok(())
    }

    fn told(&mut self, place: u32, acknowledge_by: Timestamp, at: Timestamp) -> Result<(), Refused> {
        let before = self.corrections.iter().filter(|one| one.told.is_some()).count();
        let number = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let waiting = self.corrections.get_mut(place).filter(|one| one.told.is_none());
        let waiting = waiting.ok_or(Refused::NoCorrection)?;
        waiting.told = Some(Told { number, at, acknowledge_by, acknowledged: None, is_overdue: false });
        Ok(())
    }

    fn told_of(&mut self, number: u32) -> Result<&mut Told, Refused> {
        let mut told = self.corrections.iter_mut().filter_map(|one| one.told.as_mut());
        told.find(|told| told.number == number).ok_or(Refused::NoCorrection)
    }

    fn asked(&mut self, ask: &SignedCorrectionAsk, at: Timestamp) -> Result<(), Refused> {
        if ask.ask.disclosure() != self.request.disclosure() {
            return Err(Refused::OtherRequest);
        }
        if self.correction_asked().is_some() || self.corrections_asked.len() >= ASKED_MOST {
            return Err(Refused::AskedAlready);
        }
        if let Some(field) = ask.ask.field()
            && !self.granted().is_some_and(|granted| granted.contains(field))
        {
            return Err(Refused::FieldNotAsked(field.clone()));
        }
        self.corrections_asked.push(CorrectionAsked { signed: ask.clone(), at, answer: None });
        Ok(())
    }

    fn ask_answered(&mut self, deed: &Deed, at: Timestamp) -> Result<(), Refused> {
        self.check_person(deed.officer())?;
        let open = self.corrections_asked.last_mut().filter(|asked| asked.answer.is_none());
        open.ok_or(Refused::NoCorrection)?.answer = Some(CorrectionAnswer {
            accepted: deed.kind() == DeedKind::AcceptCorrection,
            text: deed.words().to_owned(),
            officer: deed.officer().clone(),
            at,
        });
        Ok(())
    }

    /// A statement stands beside all that was released.
    fn stated(&mut self, deed: &Deed, at: Timestamp) -> Result<(), Refused> {
        self.said_by(deed, (CorrectionKind::Statement, deed.words().to_owned()), at)
    }

    /// The hit was not that person: the holder stands behind nothing of the release any more. Why, is its own.
    fn found_erroneous(&mut self, deed: &Deed, at: Timestamp) -> Result<(), Refused> {
        if self.corrections.iter().any(|one| one.new.kind == CorrectionKind::Withdrawn) {
            let officer = deed.officer().clone();
            return Err(Refused::DoneAlready { officer, deed: deed.kind() });
        }
        self.notes.push((deed.clone(), at));
        self.said_by(deed, (CorrectionKind::Withdrawn, String::new()), at)
    }

    fn said_by(
        &mut self,
        deed: &Deed,
        (kind, statement): (CorrectionKind, String),
        at: Timestamp,
    ) -> Result<(), Refused> {
        self.check_person(deed.officer())?;
        let fields = self.granted().ok_or(Refused::NoCorrection)?;
        let new = CorrectionNew { kind, fields, statement, by: deed.officer().clone() };
        self.corrections.push(Correction { new, made: at, told: None });
        Ok(())
    }
}

/// What one release is asked about: more is for people to talk about.
const ASKED_MOST: usize = 16;
