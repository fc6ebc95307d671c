async function ask(url, options) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) {
    throw new Error(`Conjur answered ${answer.status}`);
  }
  return answer.text();
}

export async function exampleToken() {
  const url = process.env.CONJUR_APPLIANCE_URL;
  const account = process.env.CONJUR_ACCOUNT;
  const login = process.env.CONJUR_AUTHN_LOGIN;
  const key = process.env.CONJUR_AUTHN_API_KEY;
  if (!url || !account || !login || !key) {
    throw new Error("CONJUR_APPLIANCE_URL, CONJUR_ACCOUNT, CONJUR_AUTHN_LOGIN or CONJUR_AUTHN_API_KEY is not set");
  }
  try {
    const session = await ask(`${url}/authn/${account}/${encodeURIComponent(login)}/authenticate`, {
      method: "POST",
      body: key,
    });
    const name = encodeURIComponent("example-provider/example_token");
    return await ask(`${url}/secrets/${account}/variable/${name}`, {
      headers: { Authorization: `Token token="${btoa(session)}"` },
    });
  } catch (error) {
    throw new Error("example-provider/example_token cannot be read from Conjur", { cause: error });
  }
}
