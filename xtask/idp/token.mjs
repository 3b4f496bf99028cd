// Gets a token for a resource, as a machine does, and prints it.
// usage: node token.mjs PORT SECRET RESOURCE
const [port, secret, resource] = process.argv.slice(2);
const answer = await fetch(`http://127.0.0.1:${port}/token`, {
  method: 'POST',
  headers: { authorization: `Basic ${Buffer.from(`robot:${secret}`).toString('base64')}` },
  body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
});
const said = await answer.json();
if (!said.access_token) throw new Error(JSON.stringify(said));
console.log(said.access_token);
