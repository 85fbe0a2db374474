# The file of clients: every mistake stops nginx -t with the file, the client and
# the member; a large file is quick; what cannot stand beside llm_auth.

use lib 't/lib';
use Test::LLM;

use Digest::SHA qw(sha256_hex);
use Time::HiRes qw(time);

my $KEY = sha256_hex('sk-llm-a');
my $PASS = 'location /v1/ { llm_auth on; llm_pass $llm_model; }';

sub gateway {
    my ($json, %o) = @_;
    my $gw = Test::LLM::Gateway->new(
        files => { 'clients.json' => ref $json ? to_json($json) : $json });
    my $http = $o{http} // 'llm_provider p { dialect mock; } llm_model m { provider p; }';
    my $location = $o{location} // $PASS;
    $gw->{conf} = <<"EOC";
    llm_zone t:4m;
    llm_clients file:clients.json;
    $http
    server { listen 127.0.0.1:%%PORT%%; $location }
EOC
    return $gw;
}

sub refused {
    my ($name, $re, $json, %o) = @_;
    my ($code, $out) = gateway($json, %o)->test_conf;
    subtest $name => sub {
        isnt($code, 0, 'refused');
        like($out, $_, "says $_") for ref $re eq 'ARRAY' ? @$re : $re;
        like($out, qr/\[emerg\].* in \S+nginx\.conf:\d+/, 'file and line');
    };
}

sub accepted {
    my ($name, $json, %o) = @_;
    my ($code, $out) = gateway($json, %o)->test_conf;
    is($code, 0, $name) or diag $out;
}

sub one { return { clients => [ { id => 'app-1', @_ } ] } }

accepted('an empty file', '{}');
accepted('a client', one(key_sha256 => $KEY));
accepted('lists', one(models => [ 'a', 'b*', '~^c$' ], routes => [],
                      limits => [ '60r/m' ], budgets => [ '50usd/d' ]));
accepted('users and organisations', { users => [ { id => 'u' } ], orgs => [ { id => 'o' } ] });
accepted('one id for a client and a user', { clients => [ { id => 'u' } ], users => [ { id => 'u' } ] });

refused('no JSON', qr/clients\.json" (?:is not valid JSON|must be an object)/, '{"clients":[');
refused('no object', qr/clients\.json" must be an object with "clients"/, '[]');
refused('an unknown list', [ qr/"client" in "\S+clients\.json" is unknown/, qr/"orgs"/ ], '{"client":[]}');
refused('an unknown member', qr/invalid client "app-1", the 1th in "\S+clients\.json": "modells" is unknown/,
    one(modells => []));
refused('a key in the clear', qr/"key" is unknown/, one(key => 'sk-llm-a'));
refused('no hash', qr/"key_sha256" must be the SHA-256 of the key/, one(key_sha256 => 'x'));
refused('a pattern', qr/"models" has "~\(", which is no regular expression: missing closing parenthesis/,
    one(models => [ '~(' ]));
refused('a date', qr/"expires" must be a date/, one(expires => 'tomorrow'));
refused('a priority', qr/"priority" must be "low", "normal" or "high"/, one(priority => 'top'));
refused('no id', qr/invalid client "\?", the 2th in .*: "id" is missing/, { clients => [ { id => 'a' }, {} ] });
refused('an id twice', qr/invalid client "a", the 2th in .*: stands there twice/,
    { clients => [ { id => 'a' }, { id => 'a' } ] });
refused('a key twice', qr/the clients "a" and "b" in "\S+clients\.json" have the same key/,
    { clients => [ map { { id => $_, key_sha256 => $KEY } } 'a', 'b' ] });
refused('a user', qr/invalid user "u", the 1th in .*: "models" is unknown/, { users => [ { id => 'u', models => [] } ] });

{
    my $gw = gateway('{}');
    $gw->{conf} =~ s/clients\.json/other.json/;
    my ($code, $out) = $gw->test_conf;
    isnt($code, 0, 'no such file');
    like($out, qr/there is no file "\S+other\.json" of clients/, '... says so');
}

refused('a word', qr/invalid value "yes", it must be "on", "off" or a variable/, '{}',
    location => 'location / { llm_auth yes; return 200; }');
refused('twice', qr/"llm_auth" directive is duplicate/, '{}',
    location => 'llm_auth on; llm_auth off;');
refused('in the wrong place', qr/"llm_clients" directive is not allowed here/, '{}',
    location => 'llm_clients x.json;');

my $OWN = 'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; key client; } llm_model m { provider p; }';
my $BOTH = qr/"llm_auth on" and "key client" of llm_provider "p" both want the client's key/;
refused('key client', $BOTH, '{}', http => $OWN, location => 'llm_auth on; location / { llm_pass p; }');
refused('... by a variable', $BOTH, '{}', http => $OWN);
refused('... in a split', $BOTH, '{}', http => "$OWN llm_split s { variant a m 100%; variant b p 0%; }",
    location => 'location / { llm_auth on; llm_pass s; }');
accepted('... beside a variable that names the client', '{}', http => $OWN,
    location => 'location / { llm_auth $remote_user; llm_pass p; }');
accepted('... where nobody is asked', '{}', http => $OWN,
    location => 'location / { llm_pass p; } location /x/ { llm_auth on; return 204; }');

# the time is the process's own: others may be busy
{
    my $gw = gateway({ clients => [ map { {
        id => "client-$_", key_sha256 => sha256_hex("sk-llm-$_"), user => 'u' . $_ % 100,
        models => [ 'gpt-*', "own-$_" ], limits => [ '60r/m' ], metadata => { n => $_ },
    } } 1 .. 100_000 ] });
    my @before = times;
    my ($code, $out) = $gw->test_conf;
    my @after = times;
    my $took = $after[2] + $after[3] - $before[2] - $before[3];
    is($code, 0, '100 000 clients') or diag $out;
    # looking through all of them for each would take minutes
    cmp_ok($took, '<', 20, sprintf '... in %.2f s', $took);
}

finish;
