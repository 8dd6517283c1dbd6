import { request } from '@playwright/test';
import { expect, test } from '../fixtures/test';
import { ADMIN } from '../fixtures/server';
import { MonitorPage } from '../fixtures/monitor_page';

const OTHER = 'seven purple lanterns drift';

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? 'with JavaScript' : 'without JavaScript', () => {
    test.use({ javaScriptEnabled });

    test('the password is changed and sessions are ended on the account page', async ({ page, browser, complaints, startServer }) => {
      // Where scripts are switched off the browser declines to preload them, and calls that a policy.
      if (!javaScriptEnabled) complaints.expect(/request: GET \S+\/pkg\/tickstock\.js: csp$/);
      const monitor = new MonitorPage(page, await startServer());
      const { url } = monitor.server;
      await monitor.signIn();
      const elsewhere = await browser.newContext();
      const other = new MonitorPage(await elsewhere.newPage(), monitor.server);
      await other.signIn();

      await page.goto(`${url}/admin/account`);
      await expect(page.getByTestId('session')).toHaveCount(2);
      await expect(page.getByText('this browser', { exact: true })).toBeVisible();
      await page.getByTestId('end-session').click();
      await expect(page.getByTestId('done')).toHaveText('Sessions ended.');
      await expect(page.getByTestId('session')).toHaveCount(1);
      await other.page.goto(`${url}/admin/websockets`);
      await expect(other.page).toHaveURL(/\/login$/);
      await elsewhere.close();

      const others = [await request.newContext({ baseURL: url }), await request.newContext({ baseURL: url })];
      const isIn = async () => Promise.all(others.map(async (other) => (await other.get('/admin/audit', { maxRedirects: 0 })).ok()));
      for (const other of others) await other.post('/login', { form: ADMIN });
      expect(await isIn()).toEqual([true, true]);
      await page.goto(`${url}/admin/account`);
      await expect(page.getByTestId('session')).toHaveCount(3);
      await page.getByTestId('end-others').click();
      await expect(page.getByTestId('done')).toHaveText('Sessions ended.');
      await expect(page.getByTestId('session'), 'the own one is left').toHaveCount(1);
      await expect(page.getByTestId('end-others'), 'and nothing to end').toHaveCount(0);
      expect(await isIn()).toEqual([false, false]);
      for (const other of others) await other.dispose();

      const change = async (current: string, next: string) => {
        await page.getByLabel('Current password').fill(current);
        await page.getByLabel('New password', { exact: true }).fill(next);
        await page.getByLabel('Repeat new password').fill(next);
        await page.getByRole('button', { name: 'Change password' }).click();
      };
      await change('not the password', OTHER);
      await expect(page.getByTestId('error')).toContainText('current password is wrong');
      await change(ADMIN.password, 'passwordpassword');
      await expect(page.getByTestId('error')).toContainText('too easy to guess');
      await change(ADMIN.password, OTHER);
      await expect(page.getByTestId('done')).toContainText('Password changed');

      await page.getByTestId('sign-out').click();
      await monitor.submitLogin(ADMIN.email, ADMIN.password);
      await expect(page.getByRole('alert')).toContainText('wrong');
      await monitor.submitLogin(ADMIN.email, OTHER);
      await expect(page).toHaveURL(/\/admin\/websockets$/);
    });

    test('the audit log is filtered, paged and saved', async ({ page, complaints, startServer }) => {
      if (!javaScriptEnabled) complaints.expect(/request: GET \S+\/pkg\/tickstock\.js: csp$/);
      const monitor = new MonitorPage(page, await startServer());
      await monitor.submitLogin('stranger@example.com', 'not the password at all');
      await monitor.signIn();
      await page.getByRole('link', { name: 'Audit log' }).click();
      await expect(page.getByRole('heading', { name: 'Audit log' })).toBeVisible();
      await expect(page.getByTestId('record').filter({ hasText: 'sign_in' }).first()).toBeVisible();
      await expect(page.locator('script[type=module]'), 'no program is loaded').toHaveCount(0);

      await page.getByLabel('Outcome').selectOption('refused');
      await page.getByLabel('Action').selectOption('sign_in');
      await page.getByLabel('From').fill('-1h');
      await page.getByRole('button', { name: 'Show' }).click();
      await expect(page).toHaveURL(/outcome=refused/);
      await expect(page.getByTestId('record')).toHaveCount(1);
      await expect(page.getByTestId('record'), 'what is no account of ours may be a password').toContainText(/unknown #[0-9a-f]{12}/);
      await expect(page.getByLabel('Outcome'), 'the form shows what was asked').toHaveValue('refused');

      const download = page.waitForEvent('download');
      await page.getByTestId('csv').click();
      expect((await download).suggestedFilename()).toBe('audit.csv');

      await page.getByLabel('From').fill('whenever');
      await page.getByRole('button', { name: 'Show' }).click();
      await expect(page.getByTestId('problem')).toContainText('expected a time like');
      await page.getByRole('link', { name: 'Clear' }).click();
      await expect(page.getByTestId('record').filter({ hasText: 'export' })).toHaveCount(1);
    });
  });
}
