package Test::LLM::Tls;

# A certificate authority for one test, made by openssl when the test starts.
#
#   my $ca = Test::LLM::Tls->new;
#   $ca->file                              the CA certificate
#   $ca->cert('name', 'DNS:a', 'IP:127.0.0.1')   { cert => file, key => file }

use strict;
use warnings;

use File::Temp ();


sub new {
    my ($class, %o) = @_;
    my $dir = File::Temp::tempdir('llm-ca-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { dir => $dir, n => 0 }, $class;

    _openssl('req', '-x509', @{ _new_key("$dir/ca.key") }, '-days', 2,
        '-subj', '/CN=Test CA ' . $$ . rand(), '-out', "$dir/ca.pem");

    return $self;
}


sub file { "$_[0]{dir}/ca.pem" }


sub cert {
    my ($self, $cn, @san) = @_;
    my $o = ref $san[-1] ? pop @san : {};
    my $base = "$self->{dir}/" . ++$self->{n};

    open my $ext, '>', "$base.ext" or die "$base.ext: $!";
    print $ext 'subjectAltName=', join(',', @san ? @san : "DNS:$cn"), "\n";
    close $ext;

    _openssl('req', '-new', @{ _new_key("$base.key") }, '-subj', "/CN=$cn",
        '-out', "$base.csr");
    _openssl('x509', '-req', '-in', "$base.csr", '-CA', $self->file,
        '-CAkey', "$self->{dir}/ca.key", '-CAcreateserial',
        '-days', $o->{days} // 2, '-extfile', "$base.ext", '-out', "$base.pem");

    return { cert => "$base.pem", key => "$base.key" };
}


sub _new_key {
    my ($file) = @_;
    return [ '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
             '-nodes', '-keyout', $file ];
}


sub _openssl {
    open my $run, '-|', 'sh', '-c', 'exec openssl "$@" 2>&1', 'sh', @_
        or die "openssl: $!";
    local $/;
    my $out = readline $run;
    close $run or die "openssl @_\n$out";
}

1;
