// Hands a page's data to the browser's passkeys and their answer to the page's form. Nothing else is done here.
"use strict";

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const create = ({ party, challenge, user, name }) =>
  navigator.credentials.create({
    publicKey: {
      rp: { id: party, name: "Onebit" },
      user: { id: bytes(user), name, displayName: name },
      challenge: bytes(challenge),
      pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -8 }],
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
      attestation: "none",
    },
  });

const get = ({ party, challenge, credentials }) =>
  navigator.credentials.get({
    publicKey: {
      rpId: party,
      challenge: bytes(challenge),
      allowCredentials: credentials
        .split(" ")
        .filter(Boolean)
        .map((id) => ({ type: "public-key", id: bytes(id) })),
      userVerification: "required",
    },
  });

const fill = (form, name, buffer) => {
  const field = form.elements.namedItem(name);
  if (field && buffer) field.value = text(buffer);
};

const use = async (form) => {
  const wants = form.dataset.passkey;
  const found = await (wants === "create" ? create(form.dataset) : get(form.dataset));
  fill(form, "credential", found.rawId);
  fill(form, "client-data", found.response.clientDataJSON);
  fill(form, "authenticator-data", found.response.authenticatorData);
  fill(form, "signature", found.response.signature);
  fill(form, "user", found.response.userHandle);
  fill(form, "attestation", found.response.attestationObject);
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const trouble = form.querySelector("[data-trouble]");
    try {
      await use(form);
      HTMLFormElement.prototype.submit.call(form);
    } catch {
      if (trouble) trouble.hidden = false;
    }
  });
}

// The code of an invitation stands behind the `#`, which browsers keep to themselves. It leaves the address at once.
const code = document.querySelector("[data-code]");
if (code && location.hash.length > 1) {
  code.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}
