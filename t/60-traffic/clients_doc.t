# docs/clients.md tells what is: its configuration and file work as they stand,
# and its commands say what stands behind them, but for keys and times.

use lib 't/lib';
use Test::LLM;
use utf8;

use Digest::SHA qw(sha256_hex);

sub slurp {
    my ($file) = @_;
    open my $fh, '<:encoding(UTF-8)', $file or die "$file: $!";
    local $/;
    return scalar readline $fh;
}

my $doc = slurp('docs/clients.md');
my ($conf) = $doc =~ /^```nginx\nhttp \{\n(.*?)^\}\n```/ms;
my ($json) = $doc =~ /^```json\n(.*?)^```/ms;
ok($conf && from_json($json), 'a configuration and a file');

my $key = 'sk-llm-' . 'Qm7' x 13 . 'x';
my $file = from_json($json);
$file->{clients}[0]{key_sha256} = sha256_hex($key);

$conf =~ s{/etc/nginx/llm}{%%DIR%%};
$conf =~ s{listen 8080;}{listen 127.0.0.1:%%PORT%%; location /admin/ { llm_admin; } location = /metrics { llm_metrics; }};
$conf =~ s{(\n\s+server \{)}{\n    llm_model large { provider canned; }\n    access_log %%DIR%%/who.log who;$1};

my $gw = Test::LLM::Gateway->new(workers => 2, secrets => [ $key ],
    files => { 'clients.json' => to_json($file) }, conf => "llm_zone t:4m;\n$conf")->start;

my $r = chat($gw, 'small', headers => { Authorization => "Bearer $key", 'Content-Type' => 'application/json' });
is($r->status, 200, 'the client of the file is let in');
wait_for(sub { $gw->access('who.log') =~ /^search-prod alice acme search 200$/m });
like($gw->access('who.log'), qr/^search-prod alice acme search 200$/m, '... and logged');

like($key, qr/^sk-llm-/, 'keys look like ours');
my ($make) = $doc =~ /^```sh\nkey=(.*?)\n/m;
my $made = `key=$make; printf %s "\$key"`;
like($made, qr/^sk-llm-[A-Za-z0-9]{40}$/, 'a key is made as it stands there');


# ---- the commands ----------------------------------------------------------------

sub plain {
    my ($text) = @_;
    $text =~ s/"prefix":"sk-llm-[^"]*"/"prefix":"KEY"/g;
    $text =~ s/"version":(?:\d+|…)/"version":N/g;
    $text =~ s/"\d{4}-\d\d-\d\dT[\d:.]+Z"|"…"/"TIME"/g;
    return $text;
}

SKIP: {
    skip 'no curl and jq here', 1 if system 'command -v curl jq > /dev/null';

    my $port = $gw->port;
    my $setup = "cd $gw->{dir}\nA=http://127.0.0.1:$port/admin\nJ='Content-Type: application/json'\n";
    my $n = 0;

    for my $block ($doc =~ /^```console\n(.*?)^```/msg) {
        for my $piece (split /^(?=\$ )/m, $block) {
            my ($command, $output) = $piece =~ /^\$ ([^\n]+)\n(.*)/s or next;
            $command =~ s/127\.0\.0\.1:8080/127.0.0.1:$port/g;
            my $script = $gw->write('command.sh', "$setup$command\n");
            my $said = `sh $script 2>&1`;
            utf8::decode($said);
            $n++;
            is(plain($said), plain($output), $command);
        }
    }

    cmp_ok($n, '>', 8, 'commands were found');
}


# ---- what is counted ---------------------------------------------------------------

my $page = $gw->get('/metrics')->body;
my %n = $page =~ /^llm_auth_total\{outcome="(\w+)"\} (\d+)$/mg;
is(join(' ', sort keys %n), 'disabled expired missing not_allowed ok unknown', 'outcomes are counted');
is($n{disabled}, 1, '... one was disabled');
cmp_ok($n{ok}, '>=', 2, '... some were let in');
like($page, qr/^llm_records\{kind="client"\} 1$/m, 'records are counted');
like($page, qr/^llm_records\{kind="org"\} 1$/m, '... of all kinds');

finish;
