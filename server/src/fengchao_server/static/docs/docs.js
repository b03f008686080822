// Shows the OpenAPI document of this server. «Try it out» asks this server, with the key that is entered under «Authorize».
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  displayRequestDuration: true,
  requestSnippetsEnabled: true,
});
