// Package vault gives secrets by reference: from HashiCorp Vault (Client), or in
// development from a file that only its owner may read (File). Both implement
// deviceops.Secrets; deviceops.ParseSecretRef has the form of a reference.
package vault
