package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"

	"quotagate/certs"
	"quotagate/proxy"
)

// A download is a file that clients need.
type download struct {
	name, kind string
	as         string // the name under which a browser saves it; "": it shows it
	content    func(r *http.Request) []byte
}

// downloads are all files. The DER form of the certificate, with this type, is
// what Windows, Android and Firefox open by themselves.
func (s *service) downloads() []download {
	const pemKind = "application/x-pem-file"
	return []download{
		{certs.CertFile, pemKind, "quotagate-ca.pem", func(*http.Request) []byte { return s.ca.PEM() }},
		{"ca.crt", "application/x-x509-ca-cert", "quotagate-ca.crt", func(*http.Request) []byte { return firstDER(s.ca.PEM()) }},
		{bundleFile, pemKind, "quotagate-bundle.pem", func(*http.Request) []byte {
			bundle, err := s.ca.Bundle()
			if err != nil { // the start said why
				return s.ca.PEM()
			}
			return bundle
		}},
		{"quotagate.mobileconfig", "application/x-apple-aspen-config", "quotagate.mobileconfig", func(*http.Request) []byte {
			return mobileConfig(firstDER(s.ca.PEM()))
		}},
		{"proxy.pac", "application/x-ns-proxy-autoconfig", "", func(r *http.Request) []byte {
			return proxyPAC(s.reachedBy(r), s.cfg.proxyScheme(), s.rules().Hosts())
		}},
		{preloadFile, "application/node", preloadFile, func(*http.Request) []byte { return preload }},
	}
}

func firstDER(text []byte) []byte {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	return block.Bytes
}

// mobileConfig is the certificate as iOS and macOS install it. What it is known
// by comes from the certificate, so that a second copy replaces the first.
// https://developer.apple.com/documentation/devicemanagement/certificateroot,
// read 2026-11-21
func mobileConfig(der []byte) []byte {
	ids := uuidsOf(der)
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>%[1]s</string>
<key>PayloadUUID</key><string>%[2]s</string>
<key>PayloadDisplayName</key><string>quotagate</string>
<key>PayloadContent</key><array><dict>
<key>PayloadType</key><string>com.apple.security.root</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>%[1]s.ca</string>
<key>PayloadUUID</key><string>%[3]s</string>
<key>PayloadDisplayName</key><string>quotagate CA</string>
<key>PayloadContent</key><data>%[4]s</data>
</dict></array>
</dict></plist>
`, proxy.InternalHost, ids[0], ids[1], base64.StdEncoding.EncodeToString(der))
}

// uuidsOf are two identifiers of their own kind for the same content, as
// version 8 of RFC 9562 has them.
func uuidsOf(content []byte) [2]string {
	var ids [2]string
	sum := sha256.Sum256(content)
	for i := range ids {
		b := sum[16*i : 16*i+16]
		b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
		ids[i] = fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return ids
}
