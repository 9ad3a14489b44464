package serverless

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

const secretFix = "store it as a secret, name that in use.secrets, and write ${ $secrets.NAME }"

// authentication translates credentials. They have to be secrets: what is given
// as text, or flows into the task, would stand in the history of the run.
func (c *httpCall) authentication(n *yaml.Node) {
	schemes := []string{"use", "basic", "bearer", "certificate", "digest", "oauth2", "oidc"}
	o := c.object(n, "authentication", schemes...)
	if name := o.get("use"); name != nil {
		if n = c.component(name, "authentications", "authentication"); n == nil {
			return
		}
		o = c.object(n, "authentication", schemes[1:]...)
	}
	c.unsupported(o, "authentication", "use basic or bearer, or call through a proxy that adds the credentials", "certificate", "digest", "oauth2", "oidc")
	switch {
	case o.has("basic"):
		c.basic(o.get("basic"))
	case o.has("bearer"):
		c.bearer(o.get("bearer"))
	}
}

func (c *httpCall) basic(n *yaml.Node) {
	o := c.object(n, "basic", "username", "password", "use")
	c.unsupported(o, "basic", "write username, and password: ${ $secrets.NAME.password }", "use")
	username, password := o.get("username"), o.get("password")
	if username == nil || password == nil {
		return
	}
	if secret := c.secret(password); secret != "" {
		put(c.arguments, "auth", mapping("basic", mapping("username", c.value(username, c.sc.env()), "password", textNodeOf(secret))))
	}
}

func (c *httpCall) bearer(n *yaml.Node) {
	o := c.object(n, "bearer", "token", "use")
	secret := ""
	switch {
	case o.has("use"):
		secret = c.reference(o.get("use"), o.get("use").Value, "")
	case o.has("token"):
		secret = c.secret(o.get("token"))
	}
	if secret != "" {
		put(c.arguments, "auth", mapping("bearer", textNodeOf(secret)))
	}
}

var secretExpression = regexp.MustCompile(`^\s*\$\{\s*\$secrets\.([A-Za-z_]\w*|"[^"]+")(?:\.([A-Za-z_]\w*))?\s*\}\s*$`)

// secret gives the reference that an expression over $secrets stands for; "" was
// reported.
func (c *httpCall) secret(n *yaml.Node) string {
	m := secretExpression.FindStringSubmatch(n.Value)
	if m == nil {
		c.Report(n, codeUnsupported, secretFix, "credentials have to be a secret")
		return ""
	}
	return c.reference(n, strings.Trim(m[1], `"`), m[2])
}

func (c *httpCall) reference(n *yaml.Node, name, field string) string {
	text := deviceops.SecretScheme + name
	if field != "" {
		text += "#" + field
	}
	if _, err := deviceops.ParseSecretRef(text); err != nil {
		c.Report(n, codeUnsupported, "use a name of letters, digits, _ and -", "this cannot be the name of a secret: %s", err)
		return ""
	}
	return text
}
