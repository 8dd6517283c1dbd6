//! The own account: another password, and the sessions with an end to each. Plain forms that work without JavaScript; rendered on
//! the server alone.

#[cfg(feature = "ssr")]
pub(crate) use rendered::page;

#[cfg(feature = "ssr")]
mod rendered {
    use crate::{
        address::{self, ACCOUNT},
        api::{Backend, CurrentViewer},
        components::admin_pages::{admin_page, browser, problem, second},
        model::account::AccountSession,
    };
    use leptos::prelude::*;
    use std::sync::Arc;

    /// The page.
    pub(crate) fn page() -> AnyView {
        admin_page("Account", ACCOUNT, "admin-page", body)
    }

    fn body(admin: CurrentViewer, backend: Arc<dyn Backend>) -> AnyView {
        let query = address::query();
        view! {
            <p class="admin-lead">{admin.email.clone()} ", role " {admin.role} "."</p>
            {query.get("done").map(|done| view! {
                <p class="banner" data-tone="info" role="status" data-testid="done"><span>{done_text(done)}</span></p>
            })}
            {query.get("error").map(|error| problem(error_text(error), "error"))}
            <PasswordForm email=admin.email/>
            <section class="admin-card" aria-labelledby="sessions">
                <h2 id="sessions">"Sessions"</h2>
                <Suspense>
                    {move || {
                        let asked = Arc::clone(&backend);
                        Suspend::new(async move { view! { <Sessions sessions=asked.own_sessions().await/> } })
                    }}
                </Suspense>
            </section>
        }
        .into_any()
    }

    #[component]
    fn PasswordForm(
        /// Whose password: for the browser's own keeper of passwords.
        email: String,
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
            _ => "Done.",
        }
    }

    /// Never more than that: the word comes from the address, which anybody can write.
    fn error_text(word: &str) -> &'static str {
        match word {
            "current" => "The current password is wrong. Nothing was changed.",
            "differ" => "The two new passwords differ. Nothing was changed.",
            "same" => "The new password is the same as the old one. Nothing was changed.",
            "short" => "The new password is too short: at least 12 characters are needed.",
            "long" => "The new password is too long: at most 1024 bytes are accepted.",
            "common" => "The new password is too easy to guess. Use several unrelated words.",
            "busy" => "The server is busy checking passwords. Try again in a few seconds.",
            "session" => "No such session: it may have ended already.",
            "form" => "The form was incomplete. Nothing was changed.",
            _ => "Something went wrong. Nothing was changed; try again in a few seconds.",
        }
    }
}
