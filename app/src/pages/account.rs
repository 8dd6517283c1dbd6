//! The own account: another password, and the sessions with an end to each. Plain forms that work without JavaScript; rendered on
//! the server alone.

#[cfg(feature = "ssr")]
pub(crate) use rendered::page;

#[cfg(feature = "ssr")]
mod rendered {
    use crate::{
        address::{self, ACCOUNT, LOGIN_OIDC, SCREENS, SECOND_FACTOR},
        api::{Backend, CurrentViewer},
        components::admin_pages::{admin_page, browser, problem, second},
        model::{
            account::{AccountSession, ApiToken},
            time::UnixMillis,
        },
    };
    use leptos::prelude::*;
    use std::sync::Arc;

    /// The page.
    pub(crate) fn page() -> AnyView {
        admin_page("Account", ACCOUNT, "admin-page", body)
    }

    fn body(admin: CurrentViewer, backend: Arc<dyn Backend>) -> AnyView {
        let query = address::query();
        let (has_code, may_act) = (admin.second_factor, admin.may_act);
        let has_password = !admin.is_from_provider;
        let tokens_of = admin.may_act.then(|| Arc::clone(&backend));
        view! {
            <p class="admin-lead">{admin.email.clone()} ", role " {admin.role} "."</p>
            {query.get("done").map(|done| view! {
                <p class="banner" data-tone="info" role="status" data-testid="done"><span>{done_text(done)}</span></p>
            })}
            {query.get("error").map(|error| problem(error_text(error), "error"))}
            {(!has_password).then(provider)}
            {has_password.then(|| view! {
            <PasswordForm email=admin.email has_code/>
            <section class="admin-card" aria-labelledby="second-factor">
                <h2 id="second-factor">"Second factor"</h2>
                <p>{if has_code { "On: signing in takes a code of your authenticator app." } else { "Off: signing in takes the password alone." }}</p>
                <p><a class="button" href=SECOND_FACTOR data-testid="second-factor">{if has_code { "Change" } else { "Turn on" }}</a></p>
            </section>
            })}
            <section class="admin-card" aria-labelledby="sessions">
                <h2 id="sessions">"Sessions"</h2>
                <Suspense>
                    {move || {
                        let asked = Arc::clone(&backend);
                        Suspend::new(async move { view! { <Sessions sessions=asked.own_sessions().await/> } })
                    }}
                </Suspense>
            </section>
            {may_act.then(|| view! {
                <section class="admin-card" aria-labelledby="screens">
                    <h2 id="screens">"Screens"</h2>
                    <p>"Screens on walls show the dashboard without anybody's session."</p>
                    <p><a class="button" href=SCREENS data-testid="screens">"Pair or end screens"</a></p>
                </section>
            })}
            {tokens_of.map(|backend| view! {
                <section class="admin-card" aria-labelledby="tokens">
                    <h2 id="tokens">"API tokens"</h2>
                    <p class="admin-hint">"For programs, instead of a password. All administrators see and revoke the same ones."</p>
                    <Suspense>
                        {move || {
                            let asked = Arc::clone(&backend);
                            Suspend::new(async move { view! { <Tokens tokens=asked.tokens().await/> } })
                        }}
                    </Suspense>
                    <TokenForm has_password has_code/>
                </section>
            })}
        }
        .into_any()
    }

    #[component]
    fn Tokens(
        /// `None` when they cannot be told.
        tokens: Option<Vec<ApiToken>>,
    ) -> impl IntoView {
        let Some(tokens) = tokens else {
            return view! { <p>"The tokens cannot be loaded right now. Reload in a moment."</p> }.into_any();
        };
        if tokens.is_empty() {
            return view! { <p>"There are no tokens."</p> }.into_any();
        }
        let now = UnixMillis::now();
        let rows = tokens.into_iter().map(|token| {
            let has_ended = token.ends_at <= now;
            view! {
                <tr data-testid="token">
                    <td>{token.name.clone()}</td>
                    <td>{token.scope}</td>
                    <td class="number">{second(token.ends_at)} {has_ended.then_some(" (ended)")}</td>
                    <td class="number" title=token.last_used_from>{token.last_used_at.map_or_else(|| "never".to_owned(), second)}</td>
                    <td class="admin-cut" title=token.made_by.clone()>{token.made_by.clone()}</td>
                    <td>
                        <form method="post" action="/admin/account/tokens/revoke">
                            <input type="hidden" name="name" value=token.name.clone()/>
                            <button type="submit" class="button" aria-label=["Revoke ", &token.name].concat()>"Revoke"</button>
                        </form>
                    </td>
                </tr>
            }
        });
        view! {
            <div class="admin-scroll" tabindex="0" role="region" aria-label="Table of tokens">
                <table class="admin-table">
                    <thead><tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Scope"</th>
                        <th scope="col">"Ends (UTC)"</th>
                        <th scope="col">"Last used (UTC)"</th>
                        <th scope="col">"Made by"</th>
                        <th scope="col"><span class="visually-hidden">"Revoke"</span></th>
                    </tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        }
        .into_any()
    }

    /// Of an account that has no password here.
    fn provider() -> impl IntoView {
        view! {
            <section class="admin-card" aria-labelledby="provider">
                <h2 id="provider">"Identity provider"</h2>
                <p>"This account signs in there: its password, its second factor and its groups are there too. Making a token or pairing a screen takes a sign-in of the last five minutes."</p>
                <p><a class="button" href=[LOGIN_OIDC, "?fresh=1&next=%2Fadmin%2Faccount"].concat() rel="external" data-testid="sign-in-again">"Sign in again"</a></p>
            </section>
        }
    }

    /// Where the account has a second factor.
    fn code_field() -> impl IntoView {
        view! {
            <label class="field">
                <span>"Code of your authenticator app"</span>
                <input type="text" name="code" autocomplete="one-time-code" spellcheck="false" required/>
            </label>
        }
    }

    #[component]
    fn TokenForm(
        /// Is the password asked for again?
        has_password: bool,
        /// Is a code asked for too?
        has_code: bool,
    ) -> impl IntoView {
        view! {
            <form class="admin-form" method="post" action="/admin/account/tokens" data-testid="token-form">
                <label class="field">
                    <span>"Name"</span>
                    <input type="text" name="name" required maxlength="40" pattern="[A-Za-z0-9._\\-]+" autocomplete="off" placeholder="nightly-report"/>
                </label>
                <label class="field">
                    <span>"Scope"</span>
                    <select name="scope">
                        <option value="read">"read: sees everything"</option>
                        <option value="operate">"operate: refresh, retry, notes on gaps"</option>
                    </select>
                </label>
                <label class="field">
                    <span>"Days until it ends"</span>
                    <input type="number" name="days" required min="1" max="365" value="90"/>
                </label>
                {has_password.then(|| view! {
                    <label class="field">
                        <span>"Your password"</span>
                        <input type="password" name="current" autocomplete="current-password" required/>
                    </label>
                })}
                {has_code.then(code_field)}
                <p class="admin-hint">"The token is shown once, on the next page. Programs send it as Authorization: Bearer …"</p>
                <button type="submit" class="button">"Make token"</button>
            </form>
        }
    }

    #[component]
    fn PasswordForm(
        /// Whose password: for the browser's own keeper of passwords.
        email: String,
        /// Is a code asked for too?
        has_code: bool,
    ) -> impl IntoView {
        view! {
            <section class="admin-card" aria-labelledby="password">
                <h2 id="password">"Password"</h2>
                <form class="admin-form" method="post" action="/admin/account/password" data-testid="password-form">
                    <input type="hidden" name="email" autocomplete="username" value=email/>
                    <label class="field">
                        <span>"Current password"</span>
                        <input type="password" name="current" autocomplete="current-password" required/>
                    </label>
                    {has_code.then(code_field)}
                    <label class="field">
                        <span>"New password"</span>
                        <input type="password" name="new" autocomplete="new-password" minlength="12" required aria-describedby="password-rule"/>
                    </label>
                    <label class="field">
                        <span>"Repeat new password"</span>
                        <input type="password" name="again" autocomplete="new-password" minlength="12" required/>
                    </label>
                    <p id="password-rule" class="admin-hint">"At least 12 characters. Several unrelated words are strong and easy to type. All other sessions end; this browser stays signed in."</p>
                    <button type="submit" class="button button-primary">"Change password"</button>
                </form>
            </section>
        }
    }

    #[component]
    fn Sessions(
        /// `None` when they cannot be told.
        sessions: Option<Vec<AccountSession>>,
    ) -> impl IntoView {
        let Some(sessions) = sessions else {
            return view! { <p>"The sessions cannot be loaded right now. Reload in a moment."</p> }.into_any();
        };
        let others = sessions.iter().filter(|session| !session.is_own).count();
        let rows = sessions.into_iter().map(|session| {
            let end = if session.is_own {
                view! { <span class="admin-hint">"this browser"</span> }.into_any()
            } else {
                view! {
                    <form method="post" action="/admin/account/sessions">
                        <input type="hidden" name="session" value=session.id/>
                        <button type="submit" class="button" data-testid="end-session">"End"</button>
                    </form>
                }
                .into_any()
            };
            let name = session.user_agent.as_deref().map(browser);
            view! {
                <tr data-testid="session">
                    <td class="number">{second(session.signed_in_at)}</td>
                    <td class="number">{second(session.last_used_at)}</td>
                    <td class="number">{session.address}</td>
                    <td class="admin-cut" title=session.user_agent>{name}</td>
                    <td>{end}</td>
                </tr>
            }
        });
        view! {
            <div class="admin-scroll" tabindex="0" role="region" aria-label="Table of sessions">
                <table class="admin-table">
                    <thead><tr>
                        <th scope="col">"Signed in (UTC)"</th>
                        <th scope="col">"Last used (UTC)"</th>
                        <th scope="col">"From"</th>
                        <th scope="col">"Browser"</th>
                        <th scope="col"><span class="visually-hidden">"End"</span></th>
                    </tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
            {(others > 0).then(|| view! {
                <form method="post" action="/admin/account/sessions">
                    <input type="hidden" name="session" value="others"/>
                    <button type="submit" class="button" data-testid="end-others">"End all other sessions"</button>
                </form>
            })}
        }
        .into_any()
    }

    fn done_text(word: &str) -> &'static str {
        match word {
            "password" => "Password changed. All other sessions have ended.",
            "sessions" => "Sessions ended.",
            "revoked" => "Token revoked. It no longer works, and its sockets are closed.",
            _ => "Done.",
        }
    }

    /// Never more than that: the word comes from the address, which anybody can write.
    fn error_text(word: &str) -> &'static str {
        match word {
            "current" => "The current password is wrong. Nothing was changed.",
            "fresh" => "Your sign-in is older than five minutes. Sign in again, then repeat this. Nothing was changed.",
            "provider" => "This account signs in at the identity provider, and has no password here.",
            "code" => "The code is wrong, or was used already. Nothing was changed.",
            "differ" => "The two new passwords differ. Nothing was changed.",
            "same" => "The new password is the same as the old one. Nothing was changed.",
            "short" => "The new password is too short: at least 12 characters are needed.",
            "long" => "The new password is too long: at most 1024 bytes are accepted.",
            "common" => "The new password is too easy to guess. Use several unrelated words.",
            "token" => {
                "No token was made: it takes a name of letters, digits, dots and hyphens, a scope, and 1 to 365 days."
            }
            "token-name" => "There is already a token with that name. Revoke it first, or choose another name.",
            "token-gone" => "No such token: it may have been revoked already.",
            "busy" => "The server is busy checking passwords. Try again in a few seconds.",
            "session" => "No such session: it may have ended already.",
            "form" => "The form was incomplete. Nothing was changed.",
            _ => "Something went wrong. Nothing was changed; try again in a few seconds.",
        }
    }
}
