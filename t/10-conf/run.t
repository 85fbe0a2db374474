# `make run` and `make stop` without the build: starts, shows one question and
# one transcription with our headers, may be repeated, and says it plainly when
# the port is taken.

use lib 't/lib';
use Test::LLM;

use File::Temp ();
use IO::Socket::INET;

my $dir = File::Temp->newdir(TMPDIR => 1);
my ($port, $hold) = Test::LLM::Gateway::free_port();
$ENV{RUN_DIR} = "$dir/run";
chmod 0755, $dir;

END { my $code = $?; system 't/tools/run.sh stop >&2'; $? = $code }

sub run {
    my (@args) = @_;
    my $out = qx(t/tools/run.sh @args 2>&1);
    return ($? >> 8, $out);
}

sub master {
    open my $fh, '<', "$dir/run/nginx.pid" or return;
    return scalar readline $fh;
}

my ($code, $out) = run('start', $port);
is($code, 0, 'starts') or diag $out;
like($out, qr{POST http://127.0.0.1:$port/analyze\n    \{}, 'the question');
like($out, qr{<-- HTTP/1.1 200 OK\n(?:    x-llm-\S+: .*\n)+    \{.*"sentiment"},
    'our headers and the answer');
like($out, qr{x-llm-provider: canned}i, 'the provider');
like($out, qr{/transcribe\n    file=t/fixtures/audio/hello.wav}, 'a real file');
like($out, qr/"text"\s*:\s*"\S/, 'its text');
like($out, qr/make stop/, 'how to stop it');

my $first = master();
($code, $out) = run('start', $port);
is($code, 0, 'twice is fine') or diag $out;
isnt(master(), $first, 'the second one replaced the first');

my ($other, $hold2) = Test::LLM::Gateway::free_port();
my $squatter = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
    LocalPort => $other, Listen => 5, ReuseAddr => 1) or die $!;
($code, $out) = run('start', $other);
is($code, 1, 'a taken port is an error');
like($out, qr/port $other .* is taken .* make run PORT=\d+/, 'and says so');

($code, $out) = run('start', 'abc');
is($code, 1, 'a port is a number');

($code, $out) = run('start', $port);
($code, $out) = run('stop');
is($code, 0, 'stops');
like($out, qr/stopped/, 'and says so');
ok(!IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"), 'nobody listens');

($code, $out) = run('stop');
is($code, 0, 'nothing to stop is fine');

finish;
