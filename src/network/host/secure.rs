//! TLS 1.3 for libp2p connections over TCP, as the libp2p specification defines it (`/tls/1.0.0`).
//!
//! The crate of libp2p offers ChaCha20 first and reads in small steps. Here AES-GCM comes first where the processor has instructions for it, and
//! the socket is read in large steps; the multiplexer writes in such. The certificates and their checks are the crate's. Invariant: a connection
//! stands only if the other end proved the identity it is then known by.

use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture, io::BufReader};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::{
    PeerId,
    core::{
        UpgradeInfo,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    identity::Keypair,
    tls::certificate,
};
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, OtherError, ServerConfig,
    SignatureScheme, SupportedCipherSuite,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider,
        ring::{
            self,
            cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256},
        },
    },
    pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{io, sync::Arc};

/// The protocol's name in the negotiation of a connection.
const PROTOCOL: &str = "/tls/1.0.0";
/// The protocol's name inside the handshake.
const APPLICATION_PROTOCOL: &[u8] = b"libp2p";
/// Ciphertext taken from the kernel at once; rustls alone would ask for 4 KiB.
const READ_BUFFER_BYTES: usize = 128 << 10;

/// Why a host cannot make its side of the handshake.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] certificate::GenError),
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why a connection was not secured.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("TLS handshake failed: {0}")]
    Io(#[from] io::Error),
    #[error("the other end's certificate is not one of libp2p: {0}")]
    Certificate(#[from] certificate::ParseError),
    #[error("the other end showed {0} certificates, expected 1")]
    Certificates(usize),
}

/// A secured connection.
pub(super) type Secured<C> = TlsStream<BufReader<C>>;

/// A host's side of the handshake.
#[derive(Clone)]
pub(super) struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// A side that proves `identity`, with a certificate made for this run.
    pub(super) fn new(identity: &Keypair) -> Result<Self, SetupError> {
        let (certificate, key) = certificate::generate(identity)?;
        let provider = Arc::new(CryptoProvider { cipher_suites: cipher_suites(), ..ring::default_provider() });
        let key = provider.key_provider.load_private_key(key)?;
        let proof = Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key)));
        let verifier = Arc::new(Identified);
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier.clone())
            .with_cert_resolver(proof.clone());
        server.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        // Peers keep their connections: a session is never resumed.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(proof);
        client.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

/// The ciphers in the order of preference: the one that is fastest here comes first.
fn cipher_suites() -> Vec<SupportedCipherSuite> {
    #[cfg(target_arch = "x86_64")]
    let aes = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let aes = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let aes = false;
    let (aes_128, aes_256, chacha) =
        (TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256);
    if aes { vec![aes_128, aes_256, chacha] } else { vec![chacha, aes_128, aes_256] }
}

impl UpgradeInfo for Tls {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Tls {
    type Output = (PeerId, Secured<C>);
    type Error = HandshakeError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        let accepted = TlsAcceptor::from(self.server).accept(BufReader::with_capacity(READ_BUFFER_BYTES, socket));
        async move { secured(TlsStream::from(accepted.await?)) }.boxed()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Tls {
    type Output = (PeerId, Secured<C>);
    type Error = HandshakeError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        // The specification wants no server name sent; an address is never sent as one.
        let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])));
        let socket = BufReader::with_capacity(READ_BUFFER_BYTES, socket);
        let connected = TlsConnector::from(self.client).connect(nobody, socket);
        async move { secured(TlsStream::from(connected.await?)) }.boxed()
    }
}

/// `stream` with the identity that its other end proved.
fn secured<C>(stream: TlsStream<BufReader<C>>) -> Result<(PeerId, Secured<C>), HandshakeError>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let peer = proven(stream.get_ref().1)?;
    Ok((peer, stream))
}

fn proven(session: &CommonState) -> Result<PeerId, HandshakeError> {
    match session.peer_certificates().unwrap_or_default() {
        [certificate] => Ok(certificate::parse(certificate)?.peer_id()),
        certificates => Err(HandshakeError::Certificates(certificates.len())),
    }
}

/// Accepts a certificate that names a libp2p identity and is signed by it. Who may connect is decided by the swarm.
#[derive(Debug)]
struct Identified;

impl Identified {
    fn check(certificate: &CertificateDer<'_>, further: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        if !further.is_empty() {
            return Err(rustls::Error::General(format!("{} certificates, expected 1", further.len() + 1)));
        }
        certificate::parse(certificate).map(drop).map_err(|error| refused(Arc::new(error)))
    }

    fn check_signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        certificate::parse(certificate)
            .map_err(|error| refused(Arc::new(error)))?
            .verify_signature(signed.scheme, message, signed.signature())
            .map_err(|error| refused(Arc::new(error)))?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn schemes() -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
        ]
    }
}

fn refused(error: Arc<dyn std::error::Error + Send + Sync>) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(error)))
}

/// What both roles of the handshake demand of a signature: rustls asks the same of either in a trait of its own.
macro_rules! checked_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Err(rustls::Error::General("only TLS 1.3 is negotiated".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Self::check_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            Self::schemes()
        }
    };
}

impl ServerCertVerifier for Identified {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Self::check(certificate, further).map(|()| ServerCertVerified::assertion())
    }

    checked_signatures!();
}

impl ClientCertVerifier for Identified {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Self::check(certificate, further).map(|()| ClientCertVerified::assertion())
    }

    checked_signatures!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::compat::TokioAsyncReadCompatExt;

    /// Longer than any buffer or record.
    const MESSAGE_BYTES: usize = 300_000;

    fn ends()
    -> (impl AsyncRead + AsyncWrite + Send + Unpin + 'static, impl AsyncRead + AsyncWrite + Send + Unpin + 'static)
    {
        let (client, server) = tokio::io::duplex(64 << 10);
        (client.compat(), server.compat())
    }

    #[tokio::test]
    async fn both_ends_learn_the_other_and_exchange_bytes() {
        let (client, server) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let (near, far) = ends();
        let connecting = Tls::new(&client).unwrap().upgrade_outbound(near, PROTOCOL);
        let accepting = Tls::new(&server).unwrap().upgrade_inbound(far, PROTOCOL);
        let ((at_client, mut near), (at_server, mut far)) = futures::try_join!(connecting, accepting).unwrap();
        assert_eq!(at_client, server.public().to_peer_id());
        assert_eq!(at_server, client.public().to_peer_id());
        let suite = near.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(cipher_suites()[0].suite()));
        let message: Vec<u8> = (0..MESSAGE_BYTES).map(|n| (n % 251) as u8).collect();
        let mut received = vec![0; MESSAGE_BYTES];
        let send = async {
            near.write_all(&message).await?;
            near.close().await
        };
        futures::try_join!(send, far.read_exact(&mut received)).unwrap();
        assert_eq!(received, message);
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "an orderly end");
    }

    #[tokio::test]
    async fn a_stranger_to_the_protocol_is_refused() {
        let (mut near, far) = ends();
        let accepting = Tls::new(&Keypair::generate_ed25519()).unwrap().upgrade_inbound(far, PROTOCOL);
        let talking = async {
            near.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
            near.close().await
        };
        let (refused, _) = futures::join!(accepting, talking);
        assert!(matches!(refused, Err(HandshakeError::Io(_))));
    }
}
