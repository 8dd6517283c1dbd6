//! Who gets in, who does not, and what is on record of it: from outside, as an attacker would try it.

mod account;
mod attacks;
mod audit;
mod canary;
mod flood;
mod frames;
mod front;
mod limits;
mod refusals;
mod sessions;
mod tls;
mod words;
