// Second factor, API tokens and screens: plain pages and forms.

import { createHmac } from 'node:crypto';
import { expectAccessible } from '../fixtures/axe';
import { MonitorPage } from '../fixtures/monitor_page';
import { ADMIN } from '../fixtures/server';
import { expect, test } from '../fixtures/test';

/** What an authenticator app shows for the key on the page, now or some steps of 30 s later. */
function codeOf(key: string, steps = 0): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...key.replaceAll(' ', '')].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const seed = Buffer.from(bits.match(/.{8}/g)!.map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const hash = createHmac('sha1', seed).update(counter).digest();
  const number = hash.readUInt32BE(hash[19]! & 15) & 0x7fff_ffff;
  return String(number % 1_000_000).padStart(6, '0');
}

test('a token, a second factor and a screen, from the account page', async ({ page, browser, startServer }) => {
  const monitor = new MonitorPage(page, await startServer());
  const { url } = monitor.server;
  await monitor.signIn();

  await page.goto(`${url}/admin/account`);
  await page.getByLabel('Name').fill('nightly-report');
  await page.getByLabel('Your password').fill(ADMIN.password);
  await expectAccessible(page, 'account');
  await page.getByRole('button', { name: 'Make token' }).click();
  const token = await page.getByTestId('token').innerText();
  const called = await fetch(`${url}/api/admin/websocket-status`, { headers: { authorization: `Bearer ${token}` } });
  expect(called.status).toBe(200);
  await page.getByRole('link', { name: 'Back to the account' }).click();
  await expect(page.getByTestId('token')).toContainText('nightly-report');
  await page.getByRole('button', { name: 'Revoke nightly-report' }).click();
  await expect(page.getByTestId('done')).toContainText('revoked');

  await page.getByTestId('second-factor').click();
  await page.getByLabel('Your current password').fill(ADMIN.password);
  await page.getByRole('button', { name: 'Turn on' }).click();
  const key = await page.getByTestId('key').innerText();
  await expect(page.getByTestId('qr')).toBeVisible();
  await expectAccessible(page, 'second factor, the picture');
  await page.getByLabel('Code', { exact: true }).fill(codeOf(key));
  await page.getByRole('button', { name: 'Turn on' }).click();
  const recovery = await page.getByTestId('recovery-codes').getByRole('listitem').first().innerText();
  await page.getByRole('link', { name: 'To the dashboard' }).click();

  await page.getByTestId('sign-out').click();
  await monitor.submitLogin(ADMIN.email, ADMIN.password);
  await expect(page).toHaveURL(/\/login\/code$/);
  await page.getByRole('textbox').fill('000000');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByTestId('login-error')).toContainText('wrong');
  await page.getByRole('textbox').fill(recovery);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(/\/admin\/websockets$/);

  const wall = await browser.newContext();
  const screen = await wall.newPage();
  const waits = await screen.goto(`${url}/screen`);
  expect(waits?.headers()['refresh'], 'it asks again by itself').toBe('5');
  const code = await screen.getByTestId('code').innerText();
  await expectAccessible(screen, 'a screen that waits');
  await page.goto(`${url}/admin/account/screens?code=${code}`);
  await expect(page.getByTestId('asking')).toBeVisible();
  await page.getByLabel('Name').fill('lobby');
  await page.getByLabel('Your password').fill(ADMIN.password);
  await page.getByLabel('Code of your authenticator app').fill(codeOf(key, 1));
  await expectAccessible(page, 'pairing');
  await page.getByRole('button', { name: 'Pair', exact: true }).click();
  await expect(page.getByTestId('screen')).toContainText('lobby');
  await screen.reload();
  await expect(screen).toHaveURL(/\/admin\/websockets$/);
  await expect(screen.getByTestId('refresh')).toHaveCount(0);
  await expect(screen.locator('.monitor')).toHaveClass(/is-wall/);
  await expect(screen.getByTestId('rate-1'), 'the rate is there').toBeVisible();
  await expect(screen.locator('.button:visible, input:visible, .admin-nav:visible'), 'nothing to press').toHaveCount(0);
  await expectAccessible(screen, 'a paired screen');
  await page.getByRole('button', { name: 'End lobby' }).click();
  await expect(page.getByTestId('done')).toContainText('Ended');
  await screen.goto(`${url}/admin/websockets`);
  await expect(screen).toHaveURL(/\/login/);
  await wall.close();
});
