// Signing in and out at an identity provider, with a real one.

import { expectAccessible } from '../fixtures/axe';
import { answered } from '../fixtures/errors';
import { IdentityProvider } from '../fixtures/identity';
import { MonitorPage } from '../fixtures/monitor_page';
import { freePort } from '../fixtures/process';
import { ADMIN } from '../fixtures/server';
import { expect, test } from '../fixtures/test';

test('in, out there, in once more, out here, and the provider down', async ({ page, context, complaints, startServer }) => {
  // What the provider's own pages have: no icon, and a font from elsewhere.
  complaints.expect(answered(404));
  complaints.expect(/fonts\.googleapis\.com/);
  const provider = new IdentityProvider(await freePort());
  const monitor = new MonitorPage(page, await startServer(provider.settings));
  const { url } = monitor.server;
  await provider.start(url);
  try {
    await page.goto(`${url}/admin/metrics?range=6h`);
    await expectAccessible(page, 'sign-in with single sign-on');
    await page.getByTestId('single-sign-on').click();
    await provider.signIn(page, 'ann');
    await expect(page).toHaveURL(`${url}/admin/metrics?range=6h`);
    await page.goto(`${url}/admin/account`);
    await expect(page.locator('.admin-lead')).toContainText('ann@firm.example, role admin');
    await expectAccessible(page, 'account of somebody from the provider');

    // Signing out there reaches the page here.
    await page.goto(`${url}/admin/websockets`);
    await monitor.expectLive(15_000);
    complaints.expect(answered(401));
    const there = await context.newPage();
    await there.goto(`${provider.issuer}/session/end`);
    await there.getByRole('button', { name: 'Yes, sign me out' }).click();
    await expect(monitor.link).toHaveAttribute('data-state', 'ended', { timeout: 2_000 });
    await there.close();

    await page.goto(`${url}/login`);
    await page.getByTestId('single-sign-on').click();
    await provider.signIn(page, 'ann');
    await monitor.expectLive(15_000);
    await page.getByTestId('sign-out').click();
    await page.getByRole('button', { name: 'Yes, sign me out' }).click();
    await expect(page).toHaveURL(new RegExp(`^${url}/login`));
    await page.goto(`${url}/admin/websockets`);
    await expect(page).toHaveURL(`${url}/login`);

    await page.getByTestId('single-sign-on').click();
    await provider.signIn(page, 'ann');
    await monitor.expectLive(15_000);
    await provider.stop();
    await page.reload();
    await monitor.expectLive(15_000);
    await context.clearCookies();
    await page.goto(`${url}/login`);
    // What is known of it is taken for true for ten seconds; a restart knows nothing.
    await monitor.server.stop();
    await monitor.server.startAgain();
    await page.goto(`${url}/login`);
    await page.getByTestId('single-sign-on').click();
    await expect(page.getByTestId('login-error')).toContainText('does not answer');
    await monitor.submitLogin(ADMIN.email, ADMIN.password);
    await expect(page, 'local accounts are the way in').toHaveURL(/\/admin\/websockets$/);
  } finally {
    await provider.stop();
  }
});
