//! Random histories against a model that keeps nothing but maps: what is leased, charged and paid is always the same in both.

use super::*;
use crate::ledger::abi::ITerritory::{buyCall, cancelCall, consignCall, grantCall, orderCall, payCall, renameCall};
use crate::ledger::abi::{IStaking::supplyCall, STAKING};
use proptest::prelude::*;
use std::collections::BTreeMap;

const OWNERS: [Address; 2] = [ALICE, BOB];

/// A step of a history. Numbers are reduced to what exists.
#[derive(Debug, Clone)]
enum Step {
    Mint { who: usize, gib: u64, days: u32, name: u8 },
    Expand { token: u64, bytes: u64 },
    Prolong { token: u64, days: u32, frozen: bool },
    Rename { token: u64, name: u8 },
    Grant { token: u64 },
    Consign { token: u64, price: u64 },
    Cancel { token: u64 },
    Buy { token: u64, name: u8 },
    Order { who: usize, gib: u64, name: u8 },
    Pay { who: usize, id: u64 },
    Charge { token: u64, file: u8, bytes: u64 },
    Free { pick: prop::sample::Index },
    Purge,
    Pass { blocks: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (who, token, name, days) = (0usize..2, 1u64..8, 0u8..4, 0u32..4);
    prop_oneof![
        3 => (who.clone(), 0u64..60, days.clone(), name.clone())
            .prop_map(|(who, gib, days, name)| Step::Mint { who, gib, days, name }),
        1 => (token.clone(), 0u64..40 * GIB).prop_map(|(token, bytes)| Step::Expand { token, bytes }),
        2 => (token.clone(), days, any::<bool>())
            .prop_map(|(token, days, frozen)| Step::Prolong { token, days, frozen }),
        1 => (token.clone(), name.clone()).prop_map(|(token, name)| Step::Rename { token, name }),
        1 => token.clone().prop_map(|token| Step::Grant { token }),
        1 => (token.clone(), 0u64..9).prop_map(|(token, price)| Step::Consign { token, price }),
        1 => token.clone().prop_map(|token| Step::Cancel { token }),
        1 => (token.clone(), name.clone()).prop_map(|(token, name)| Step::Buy { token, name }),
        1 => (who.clone(), 1u64..9, name).prop_map(|(who, gib, name)| Step::Order { who, gib, name }),
        1 => (who, 1u64..4).prop_map(|(who, id)| Step::Pay { who, id }),
        4 => (token, any::<u8>(), 0u64..30 * GIB).prop_map(|(token, file, bytes)| Step::Charge { token, file, bytes }),
        2 => any::<prop::sample::Index>().prop_map(|pick| Step::Free { pick }),
        1 => Just(Step::Purge),
        3 => (1u64..14).prop_map(|blocks| Step::Pass { blocks }),
    ]
}

/// What the model remembers of a territory.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    owner: Address,
    size: u64,
    deadline: u64,
    asked: U256,
    name: String,
    charges: Vec<(FileId, u64)>,
}

impl Known {
    fn used(&self) -> u64 {
        self.charges.iter().map(|(_, bytes)| bytes).sum()
    }
}

struct History {
    world: World,
    known: BTreeMap<u64, Known>,
    orders: BTreeMap<u64, (Address, u64, String)>,
    rent: U256,
}

fn name_of(name: u8) -> String {
    format!("name {name}")
}

impl History {
    fn new() -> Self {
        Self { world: World::new(), known: BTreeMap::new(), orders: BTreeMap::new(), rent: U256::ZERO }
    }

    fn price(&self, size: u64, blocks: u64) -> U256 {
        let wei = U256::from(size) * U256::from(blocks) * tokens(1);
        wei.div_ceil(U256::from(GIB) * U256::from(DAY))
    }

    fn active(&self, token: u64) -> Option<&Known> {
        self.known.get(&token).filter(|known| self.world.host.height < known.deadline)
    }

    fn owner(&self, token: u64) -> Address {
        self.known.get(&token).map_or(ALICE, |known| known.owner)
    }

    fn is_taken(&self, owner: Address, name: &str) -> bool {
        self.known.values().any(|known| known.owner == owner && known.name == name)
    }

    fn room(&self) -> u64 {
        150 * GIB - self.known.values().map(|known| known.size).sum::<u64>()
    }

    /// Enters what `owner` now leases; says whether it should have been refused.
    fn minted(&mut self, result: Result<u64, ModuleError>, owner: Address, gib: u64, days: u32, name: &str) {
        let (size, height) = (gib * GIB, self.world.host.height);
        let fits = size >= MIB && days > 0 && size <= self.room() && !self.is_taken(owner, name);
        assert_eq!(result.is_ok(), fits, "{result:?}");
        let Ok(token) = result else { return };
        self.rent += self.price(size, u64::from(days) * DAY);
        let deadline = height + u64::from(days) * DAY;
        let known = Known { owner, size, deadline, asked: U256::ZERO, name: name.into(), charges: Vec::new() };
        assert!(self.known.insert(token, known).is_none());
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Mint { who, gib, days, name } => {
                let name = name_of(name);
                let call = mintCall { size: gib * GIB, leaseDays: days, name: name.clone() };
                let result = self.world.pay(OWNERS[who], 1_000, &call);
                self.minted(result, OWNERS[who], gib, days, &name);
            }
            Step::Order { who, gib, name } => {
                let (placer, receiver) = (OWNERS[who], OWNERS[1 - who]);
                let call = orderCall { receiver, size: gib * GIB, leaseDays: 2, name: name_of(name) };
                let id = self.world.call(placer, &call).unwrap();
                // The placer of an order is who does not receive it here.
                self.orders.retain(|_, (former, _, _)| *former != receiver);
                self.orders.insert(id, (receiver, gib, name_of(name)));
            }
            Step::Pay { who, id } => {
                let Some((receiver, gib, name)) = self.orders.get(&id).cloned() else { return };
                let height = self.world.host.height;
                let expires = self.world.host.view(TERRITORY, &ITerritory::getOrderCall { id }).unwrap().expires;
                let result = self.world.pay(OWNERS[who], 1_000, &payCall { id });
                if height > expires {
                    assert!(result.is_err());
                    return;
                }
                if result.is_ok() {
                    self.orders.remove(&id);
                }
                self.minted(result, receiver, gib, 2, &name);
            }
            Step::Pass { blocks } => self.world.pass(blocks),
            Step::Purge => self.purge(),
            Step::Charge { token, file, bytes } => {
                let owner = self.owner(token);
                let fits = self.active(token).is_some_and(|k| k.asked.is_zero() && k.size - k.used() >= bytes);
                let file = FileId([file; 32]);
                let before = self.world.host.clone();
                let result = charge(&mut self.world.host, owner, token, file, bytes);
                assert_eq!(result.is_ok(), fits, "{result:?}");
                match self.known.get_mut(&token).filter(|_| fits) {
                    Some(known) => known.charges.push((file, bytes)),
                    None => self.world.host = before,
                }
            }
            Step::Free { ref pick } => {
                let charged: Vec<u64> =
                    self.known.iter().filter(|(_, k)| !k.charges.is_empty()).map(|(token, _)| *token).collect();
                if charged.is_empty() {
                    return;
                }
                let token = *pick.get(&charged);
                let (file, bytes) = self.known.get_mut(&token).unwrap().charges.pop().unwrap();
                free(&mut self.world.host, token, file, bytes).unwrap();
            }
            _ => self.change(step),
        }
    }

    /// Steps that change one territory.
    fn change(&mut self, step: &Step) {
        let height = self.world.host.height;
        match *step {
            Step::Expand { token, bytes } => {
                let fits = self.active(token).is_some_and(|k| k.asked.is_zero()) && bytes > 0 && bytes <= self.room();
                let result = self.world.pay(self.owner(token), 20_000, &expandCall { token, extra: bytes }).map(drop);
                assert_eq!(result.is_ok(), fits, "{result:?}");
                if fits {
                    self.rent += self.price(bytes, self.known[&token].deadline - height);
                    self.known.get_mut(&token).unwrap().size += bytes;
                }
            }
            Step::Prolong { token, days, frozen } => {
                let owner = self.owner(token);
                let fits = days > 0
                    && self.known.get(&token).is_some_and(|k| {
                        let lapses = (k.deadline / 4 + 2) * 4;
                        k.asked.is_zero() && (height >= k.deadline) == frozen && height < lapses
                    });
                let result = match frozen {
                    true => self.world.pay(owner, 1_000, &reactivateCall { token, leaseDays: days }).map(drop),
                    false => self.world.pay(owner, 1_000, &renewCall { token, leaseDays: days }).map(drop),
                };
                assert_eq!(result.is_ok(), fits, "{result:?}");
                if fits {
                    let known = self.known.get_mut(&token).unwrap();
                    let deadline = known.deadline.max(height) + u64::from(days) * DAY;
                    let (size, blocks) = (known.size, deadline - known.deadline);
                    known.deadline = deadline;
                    self.rent += self.price(size, blocks);
                }
            }
            Step::Rename { token, name } => {
                let (owner, name) = (self.owner(token), name_of(name));
                let known = self.known.get(&token);
                let same = known.is_some_and(|k| k.name == name);
                let fits = known.is_some_and(|k| k.asked.is_zero()) && (same || !self.is_taken(owner, &name));
                let result = self.world.call(owner, &renameCall { token, name: name.clone() }).map(drop);
                assert_eq!(result.is_ok(), fits, "{result:?}");
                if fits {
                    self.known.get_mut(&token).unwrap().name = name;
                }
            }
            _ => self.trade(step),
        }
    }

    /// Steps between owners.
    fn trade(&mut self, step: &Step) {
        let (Step::Grant { token } | Step::Consign { token, .. } | Step::Cancel { token } | Step::Buy { token, .. }) =
            *step
        else {
            unreachable!("{step:?} is no trade")
        };
        let owner = self.owner(token);
        let other = if owner == ALICE { BOB } else { ALICE };
        let movable = self.active(token).is_some_and(|k| k.used() == 0);
        let asked = self.known.get(&token).map(|k| k.asked).unwrap_or_default();
        let exists = self.known.contains_key(&token);
        let (result, fits) = match *step {
            Step::Grant { .. } => {
                let taken = exists && self.is_taken(other, &self.known[&token].name);
                (
                    self.world.call(owner, &grantCall { token, to: other }).map(drop),
                    movable && asked.is_zero() && !taken,
                )
            }
            Step::Consign { price, .. } => {
                let call = consignCall { token, asked: tokens(price) };
                (self.world.call(owner, &call).map(drop), movable && asked.is_zero() && price > 0)
            }
            Step::Cancel { .. } => (self.world.call(owner, &cancelCall { token }).map(drop), !asked.is_zero()),
            Step::Buy { name, .. } => {
                let fits = movable && !asked.is_zero() && !self.is_taken(other, &name_of(name));
                (self.world.pay(other, 20, &buyCall { token, name: name_of(name) }).map(drop), fits)
            }
            _ => unreachable!("matched above"),
        };
        assert_eq!(result.is_ok(), fits, "{step:?}: {result:?}");
        let Some(known) = self.known.get_mut(&token).filter(|_| fits) else { return };
        match *step {
            Step::Consign { price, .. } => known.asked = tokens(price),
            Step::Cancel { .. } => known.asked = U256::ZERO,
            Step::Grant { .. } => known.owner = other,
            Step::Buy { name, .. } => {
                (known.owner, known.name, known.asked) = (other, name_of(name), U256::ZERO);
            }
            _ => {}
        }
    }

    fn purge(&mut self) {
        let host = &mut self.world.host;
        while let Some(step) = next_lapse(host).unwrap() {
            let LapseStep::Territory { token, owner } = step else {
                pass_era(host).unwrap();
                continue;
            };
            let known = self.known.remove(&token).unwrap();
            assert!(known.owner == owner && host.height >= (known.deadline / 4 + 2) * 4, "{known:?}");
            for (file, bytes) in known.charges {
                free(host, token, file, bytes).unwrap();
            }
            purge(host, token).unwrap();
        }
        let height = host.height;
        assert!(self.known.values().all(|known| height < (known.deadline / 4 + 2) * 4));
    }

    fn compare(&mut self) {
        let totals = self.world.totals();
        let sum = |of: &dyn Fn(&Known) -> u64| U256::from(self.known.values().map(of).sum::<u64>());
        assert_eq!((totals.leased, totals.used), (sum(&|k| k.size), sum(&Known::used)));
        assert_eq!((totals.territories, totals.pool + self.world.rent_out()), (self.known.len() as u64, self.rent));
        assert_eq!(self.world.host.balance(TERRITORY), totals.pool, "the module holds rent to come and nothing else");
        let burnt = self.world.host.view(STAKING, &supplyCall {}).unwrap().burnt;
        assert_eq!(self.world.host.supply() + burnt, tokens(2 * RICH + 1), "no unit is made or lost");
        assert!(totals.leased <= U256::from(150 * GIB));
        let mut listed = 0;
        for owner in OWNERS {
            let call = ITerritory::listOfCall { owner, skip: 0, limit: 100 };
            for territory in self.world.host.view(TERRITORY, &call).unwrap() {
                listed += 1;
                let known = &self.known[&territory.token];
                assert_eq!((territory.owner, territory.size, territory.used), (owner, known.size, known.used()));
                assert_eq!((territory.deadline, territory.asked), (known.deadline, known.asked));
                assert_eq!((known.owner, &known.name), (owner, &territory.name));
                let find = ITerritory::findCall { owner, name: known.name.clone() };
                assert_eq!(self.world.host.view(TERRITORY, &find).unwrap().token, territory.token);
            }
        }
        assert_eq!(listed, self.known.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn histories_agree_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
            history.compare();
        }
    }
}
