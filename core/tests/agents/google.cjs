// What goes to Google's servers goes to the one that stands in for them.
const http = require("http"), https = require("https");
const secure = https.request;
https.request = function (to, options, ...rest) {
  const url = typeof to === "string" ? new URL(to) : to;
  if (!(url instanceof URL) || !url.hostname.endsWith(".googleapis.com")) return secure.call(this, to, options, ...rest);
  return http.request(process.env.CODE_ASSIST_ENDPOINT + url.pathname + url.search, { ...options, agent: undefined }, ...rest);
};
